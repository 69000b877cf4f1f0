// What changes attributes and contents.
//
// The kernel drops the attributes it cached of a file that is written, allocated or copied to (size, blocks, times),
// and takes new ones from the answer to SETATTR.
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <span>
#include <string_view>

#include "fuse/operation.h"
#include "fuse/raw_request.h"

namespace artifactfs {

namespace {

Timestamp to_timestamp(const timespec& time) { return {time.tv_sec, static_cast<uint32_t>(time.tv_nsec)}; }

AttributeChange to_change(const struct stat& attributes, int to_set) {
  AttributeChange change;
  if (to_set & FUSE_SET_ATTR_MODE) change.mode = attributes.st_mode & 07777;
  if (to_set & FUSE_SET_ATTR_UID) change.uid = attributes.st_uid;
  if (to_set & FUSE_SET_ATTR_GID) change.gid = attributes.st_gid;
  if (to_set & FUSE_SET_ATTR_SIZE) change.size_bytes = static_cast<uint64_t>(attributes.st_size);
  change.atime_now = (to_set & FUSE_SET_ATTR_ATIME_NOW) != 0;
  change.mtime_now = (to_set & FUSE_SET_ATTR_MTIME_NOW) != 0;
  if ((to_set & FUSE_SET_ATTR_ATIME) && !change.atime_now) change.atime = to_timestamp(attributes.st_atim);
  if ((to_set & FUSE_SET_ATTR_MTIME) && !change.mtime_now) change.mtime = to_timestamp(attributes.st_mtim);
  // The kernel's FATTR_KILL_SUIDGID; libfuse's name for the bit is older.
  change.kill_privileges = (to_set & FUSE_SET_ATTR_KILL_SUID) != 0;
  return change;
}

void setattr(fuse_req_t request, fuse_ino_t inode, struct stat* attributes, int to_set, fuse_file_info*) {
  const AttributeChange change = to_change(*attributes, to_set);
  run_parkable(request, [&](Reply reply) {
    return filesystem_of(request).setattr(inode, change, answering<Attributes>(std::move(reply), send_attributes));
  });
}

void send_size(Reply& reply, size_t size) { reply.written(size); }

void write(fuse_req_t request, fuse_ino_t inode, const char* bytes, size_t size, off_t offset, fuse_file_info*) {
  const bool kill_privileges = (RawRequest::write_flags() & FUSE_WRITE_KILL_SUIDGID) != 0;
  run_parkable(request, [&](Reply reply) {
    return filesystem_of(request).write(inode, static_cast<uint64_t>(offset), std::as_bytes(std::span(bytes, size)),
                                        kill_privileges, answering<size_t>(std::move(reply), send_size));
  });
}

// FALLOCATE and COPY_FILE_RANGE have no flag for it, so who is not root clears set-user-id and set-group-id here.
template <typename T>
Completion<T> killing_privileges(fuse_req_t request, InodeNumber inode, Completion<T> done) {
  if (caller_of(request).uid == 0) return done;
  return [&filesystem = filesystem_of(request), inode, done = std::move(done)](Result<T> result) mutable {
    if (!result) return done(std::move(result));
    AttributeChange change;
    change.kill_privileges = true;
    // Never waits: no size is asked for.
    (void)filesystem.setattr(inode, change,
                             [result = std::move(result), done = std::move(done)](Result<Attributes> changed) mutable {
                               done(changed ? std::move(result) : fail(changed.error()));
                             });
  };
}

void fallocate(fuse_req_t request, fuse_ino_t inode, int mode, off_t offset, off_t length, fuse_file_info*) {
  constexpr int kKnown = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
  if ((mode & ~kKnown) != 0) return Reply(request).errnum(EOPNOTSUPP);
  const AllocateMode allocate{.keep_size = (mode & FALLOC_FL_KEEP_SIZE) != 0,
                              .punch_hole = (mode & FALLOC_FL_PUNCH_HOLE) != 0,
                              .zero_range = (mode & FALLOC_FL_ZERO_RANGE) != 0};
  run_parkable(request, [&](Reply reply) {
    return filesystem_of(request).fallocate(
        inode, allocate, static_cast<uint64_t>(offset), static_cast<uint64_t>(length),
        killing_privileges<void>(request, inode, answering<void>(std::move(reply), send_success)));
  });
}

void copy_file_range(fuse_req_t request, fuse_ino_t from, off_t from_offset, fuse_file_info*, fuse_ino_t to,
                     off_t to_offset, fuse_file_info*, size_t size, int flags) {
  if (flags != 0) return Reply(request).errnum(EINVAL);
  run_parkable(request, [&](Reply reply) {
    return filesystem_of(request).copy_file_range(
        from, static_cast<uint64_t>(from_offset), to, static_cast<uint64_t>(to_offset), size,
        killing_privileges<size_t>(request, to, answering<size_t>(std::move(reply), send_size)));
  });
}

// Of files and directories alike.
void fsync(fuse_req_t request, fuse_ino_t inode, int data_only, fuse_file_info*) {
  run_parkable(request, [&](Reply reply) {
    return filesystem_of(request).fsync(inode, data_only != 0, answering<void>(std::move(reply), send_success));
  });
}

void setxattr(fuse_req_t request, fuse_ino_t inode, const char* name, const char* value, size_t size, int flags) {
  Reply reply(request);
  XattrMode mode = XattrMode::any;
  if (flags == XATTR_CREATE) mode = XattrMode::create;
  if (flags == XATTR_REPLACE) mode = XattrMode::replace;
  answer(reply, filesystem_of(request).setxattr(inode, name, std::string_view(value, size), mode), send_success);
}

void removexattr(fuse_req_t request, fuse_ino_t inode, const char* name) {
  Reply reply(request);
  answer(reply, filesystem_of(request).removexattr(inode, name), send_success);
}

}  // namespace

void add_write_operations(fuse_lowlevel_ops& table) {
  table.setattr = setattr;
  table.write = write;
  table.fallocate = fallocate;
  table.copy_file_range = copy_file_range;
  table.fsync = fsync;
  table.fsyncdir = fsync;
  table.setxattr = setxattr;
  table.removexattr = removexattr;
}

}  // namespace artifactfs
