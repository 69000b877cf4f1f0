// Attributes and contents as they are.
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "fuse/operation.h"

namespace artifactfs {

namespace {

void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) {
  run_parkable(request, [&](Reply reply) {
    return filesystem_of(request).getattr(inode, answering<Attributes>(std::move(reply), send_attributes));
  });
}

void readlink(fuse_req_t request, fuse_ino_t inode) {
  run_parkable(request, [&](Reply reply) {
    return filesystem_of(request).readlink(
        inode,
        answering<std::string>(std::move(reply), [](Reply& to, const std::string& target) { to.link_target(target); }));
  });
}

void read(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info*) {
  run_parkable(request, [&](Reply reply) {
    return filesystem_of(request).read(inode, static_cast<uint64_t>(offset), size,
                                       answering<ReadData>(std::move(reply), [](Reply& to, const ReadData& data) {
                                         to.data({data.bytes.get(), data.size});
                                       }));
  });
}

void lseek(fuse_req_t request, fuse_ino_t inode, off_t offset, int whence, fuse_file_info*) {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return Reply(request).errnum(EINVAL);
  run_parkable(request, [&](Reply reply) {
    return filesystem_of(request).seek(
        inode, whence == SEEK_DATA ? SeekTo::data : SeekTo::hole, static_cast<uint64_t>(offset),
        answering<std::optional<uint64_t>>(std::move(reply), [](Reply& to, const std::optional<uint64_t>& position) {
          position ? to.position(*position) : to.errnum(ENXIO);
        }));
  });
}

// The kernel and ls ask for these at every turn. security.capability the kernel asks for before the first write after
// each look at a file's attributes (HANDLE_KILLPRIV_V2 spares the others); no Filesystem has it.
bool is_unsupported_attribute(std::string_view name) {
  return name == "security.capability" || name == "security.selinux" || name == "system.posix_acl_access" ||
         name == "system.posix_acl_default";
}

void getxattr(fuse_req_t request, fuse_ino_t inode, const char* name, size_t size) {
  Reply reply(request);
  if (is_unsupported_attribute(name)) return reply.errnum(EOPNOTSUPP);
  answer(reply, filesystem_of(request).getxattr(inode, name),
         [size](Reply& to, const std::string& value) { to.attribute_value(value, size); });
}

void listxattr(fuse_req_t request, fuse_ino_t inode, size_t size) {
  Reply reply(request);
  answer(reply, filesystem_of(request).listxattr(inode), [size](Reply& to, const std::vector<std::string>& names) {
    std::string list;
    for (const std::string& name : names) list.append(name).push_back('\0');
    to.attribute_value(list, size);
  });
}

void statfs(fuse_req_t request, fuse_ino_t) {
  Reply reply(request);
  answer(reply, filesystem_of(request).statfs(), [](Reply& to, const FilesystemStats& stats) { to.statistics(stats); });
}

}  // namespace

void add_read_operations(fuse_lowlevel_ops& table) {
  table.getattr = getattr;
  table.readlink = readlink;
  table.read = read;
  table.lseek = lseek;
  table.getxattr = getxattr;
  table.listxattr = listxattr;
  table.statfs = statfs;
}

}  // namespace artifactfs
