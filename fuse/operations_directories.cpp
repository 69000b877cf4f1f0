// Listings.
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "fuse/operation.h"

namespace artifactfs {

namespace {

// The kernel's FUSE_NAME_MAX: an entry with a longer name would fail the whole listing.
constexpr size_t kMaxNameBytes = 1024;

// `add(buffer, room, name, entry)` writes one entry in libfuse's form and returns the bytes it takes, more than `room`
// if it did not fit.
template <typename Add>
void list(Reply reply, Filesystem& filesystem, fuse_ino_t inode, size_t size, off_t offset, Add&& add) {
  const auto buffer = std::make_unique_for_overwrite<char[]>(size);
  size_t used = 0;
  const auto emit = [&](const DirectoryEntry& entry) {
    if (entry.name.size() > kMaxNameBytes) return true;
    std::array<char, kMaxNameBytes + 1> name;
    std::memcpy(name.data(), entry.name.data(), entry.name.size());
    name[entry.name.size()] = '\0';
    const size_t taken = add(buffer.get() + used, size - used, name.data(), entry);
    if (taken > size - used) return false;
    used += taken;
    return true;
  };
  const auto listed = filesystem.read_directory(inode, static_cast<uint64_t>(offset), emit);
  answer(reply, listed, [&](Reply& to) { to.data(std::as_bytes(std::span(buffer.get(), used))); });
}

void readdir(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info*) {
  list(Reply(request), filesystem_of(request), inode, size, offset,
       [request](char* buffer, size_t room, const char* name, const DirectoryEntry& entry) {
         struct stat stat {};
         stat.st_ino = entry.attributes.inode;
         stat.st_mode = entry.attributes.mode;
         return fuse_add_direntry(request, buffer, room, name, &stat, static_cast<off_t>(entry.next_cookie));
       });
}

void readdirplus(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info*) {
  Filesystem& filesystem = filesystem_of(request);
  list(Reply(request), filesystem, inode, size, offset,
       [request, &filesystem](char* buffer, size_t room, const char* name, const DirectoryEntry& directory_entry) {
         fuse_entry_param entry = to_entry(directory_entry.attributes);
         const InodeNumber number = entry.ino;
         // The kernel links every entry with a node id, which counts as a lookup; not these two.
         const bool counts = std::string_view(name) != "." && std::string_view(name) != "..";
         if (!counts) entry.ino = 0;
         const size_t taken = fuse_add_direntry_plus(request, buffer, room, name, &entry,
                                                     static_cast<off_t>(directory_entry.next_cookie));
         // Before the answer, or the kernel's FORGET might come first. The name cannot go meanwhile: the kernel holds
         // its directory.
         if (counts && taken <= room) filesystem.remember(number);
         return taken;
       });
}

}  // namespace

void add_directory_operations(fuse_lowlevel_ops& table) {
  table.readdir = readdir;
  table.readdirplus = readdirplus;
}

}  // namespace artifactfs
