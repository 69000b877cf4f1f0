#include "workdir/base_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstring>
#include <utility>

namespace artifactfs {

namespace {

constexpr uint64_t kBlockBytes = 512;
constexpr size_t kSiblingsAtMost = 1000;

}  // namespace

// Counts a reader that waits, for as long as its completion lives.
class BaseFiles::Blocked {
 public:
  explicit Blocked(std::atomic<uint64_t>& count) : count_(&count) { ++*count_; }
  Blocked(Blocked&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  Blocked& operator=(Blocked&&) = delete;
  ~Blocked() {
    if (count_ != nullptr) --*count_;
  }

 private:
  std::atomic<uint64_t>* count_;
};

bool is_directory(EntryKind kind) { return kind == EntryKind::directory || kind == EntryKind::submodule; }

uint32_t mode_of(EntryKind kind) {
  switch (kind) {
    case EntryKind::directory:
    case EntryKind::submodule:
      return S_IFDIR | 0755;
    case EntryKind::file:
      return S_IFREG | 0644;
    case EntryKind::executable:
      return S_IFREG | 0755;
    case EntryKind::symlink:
      return S_IFLNK | 0777;
  }
  return 0;
}

int64_t base_timestamp(int64_t committer_time) {
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return std::min<int64_t>(committer_time, now - 2);
}

BaseFiles::BaseFiles(TreeIndex& index, ObjectStore& objects, const ObjectId& root, BaseFilesOptions options)
    : objects_(objects), options_(std::move(options)), tree_(index, root) {}

Attributes BaseFiles::common_attributes(InodeNumber inode) const {
  Attributes attributes;
  attributes.inode = inode;
  attributes.uid = options_.owner.uid;
  attributes.gid = options_.owner.gid;
  attributes.atime = attributes.mtime = attributes.ctime = {options_.timestamp, 0};
  return attributes;
}

Attributes BaseFiles::attributes(const BaseEntry& entry, std::optional<uint64_t> size_bytes) const {
  Attributes attributes = common_attributes(entry.inode);
  attributes.mode = mode_of(entry.kind);
  attributes.size_known = size_bytes.has_value();
  attributes.size_bytes = size_bytes.value_or(0);
  attributes.blocks = (attributes.size_bytes + kBlockBytes - 1) / kBlockBytes;
  return attributes;
}

Result<uint64_t> BaseFiles::subdirectories(const BaseEntry& entry) const {
  if (entry.kind != EntryKind::directory) return uint64_t{0};
  TRY_ASSIGN(const auto tree, tree_.tree_of(entry));
  return tree->directories();
}

Result<Attributes> BaseFiles::directory_attributes(const BaseEntry& entry) const {
  TRY_ASSIGN(const uint64_t below, subdirectories(entry));
  Attributes attributes = this->attributes(entry, kDirectoryBytes);
  attributes.links = 2 + static_cast<uint32_t>(below);
  return attributes;
}

Result<Attributes> BaseFiles::attributes_now(const BaseEntry& entry) const {
  if (is_directory(entry.kind)) return directory_attributes(entry);
  return attributes(entry, objects_.size_now(entry.oid));
}

Attributes BaseFiles::gitfile_attributes() const {
  Attributes attributes = common_attributes(kGitfileInode);
  attributes.mode = S_IFREG | 0644;
  attributes.size_bytes = options_.gitfile.size();
  attributes.blocks = 1;
  return attributes;
}

ReadData BaseFiles::read_gitfile(uint64_t offset, size_t size) const {
  const std::string& content = options_.gitfile;
  ReadData data;
  data.size = offset >= content.size() ? 0 : std::min(size, content.size() - static_cast<size_t>(offset));
  data.bytes = std::make_unique_for_overwrite<std::byte[]>(data.size);
  if (data.size != 0) std::memcpy(data.bytes.get(), content.data() + offset, data.size);
  return data;
}

Ticket BaseFiles::size(const BaseEntry& entry, Completion<uint64_t> done) {
  if (const auto known = objects_.size_now(entry.oid)) {
    done(*known);
    return nullptr;
  }
  const auto siblings = siblings_to_size(entry);
  return objects_.size(entry.oid, siblings, options_.fetch_timeout,
                       [done = std::move(done), blocked = Blocked(blocked_readers_)](
                           Result<uint64_t> size_bytes) mutable { done(std::move(size_bytes)); });
}

std::vector<ObjectId> BaseFiles::siblings_to_size(const BaseEntry& entry) {
  // One file may be all that is wanted (`cat file`); a second one in the same directory is a pattern (`ls -l`).
  if (last_sized_directory_.exchange(entry.parent) != entry.parent || entry.directory == nullptr) return {};
  std::vector<ObjectId> siblings;
  const Tree& tree = *entry.directory;
  for (size_t i = 0; i < tree.size() && siblings.size() < kSiblingsAtMost; ++i) {
    const TreeEntry sibling = tree.entry(i);
    if (!is_directory(sibling.kind)) siblings.push_back(sibling.oid);
  }
  return siblings;
}

Ticket BaseFiles::read(const ObjectId& oid, uint64_t offset, size_t size, Completion<ReadData> done) {
  return objects_.read(oid, offset, size, options_.fetch_timeout,
                       [done = std::move(done), blocked = Blocked(blocked_readers_)](Result<ReadData> data) mutable {
                         done(std::move(data));
                       });
}

Ticket BaseFiles::readlink(const ObjectId& oid, Completion<std::string> done) {
  return read(oid, 0, PATH_MAX, [done = std::move(done)](Result<ReadData> data) mutable {
    if (!data) return done(fail(data.error()));
    done(std::string(reinterpret_cast<const char*>(data->bytes.get()), data->size));
  });
}

std::string BaseFiles::state(const BaseEntry& entry) const {
  if (is_directory(entry.kind)) return "cached";  // all trees are local
  return objects_.is_cached(entry.oid) ? "cached" : "remote";
}

}  // namespace artifactfs
