// Names: looking them up, making and removing them.
//
// The kernel itself drops what it cached of the directories and inodes that such an operation changes (times, link
// counts, listings), so nothing is invalidated here.
#include <cerrno>
#include <cstdio>
#include <span>

#include "fuse/operation.h"

namespace artifactfs {

namespace {

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Reply reply(request);
  const Result<Attributes> found = filesystem_of(request).lookup(parent, name);
  if (!found && found.error().code == ErrorCode::not_found) return reply.no_entry();
  answer(reply, found, send_entry);
}

void forget(fuse_req_t request, fuse_ino_t inode, uint64_t count) {
  filesystem_of(request).forget(inode, count);
  Reply(request).nothing();
}

void forget_multi(fuse_req_t request, size_t count, fuse_forget_data* forgotten) {
  Filesystem& filesystem = filesystem_of(request);
  for (const fuse_forget_data& one : std::span(forgotten, count)) filesystem.forget(one.ino, one.nlookup);
  Reply(request).nothing();
}

// The kernel has applied the umask to the modes that arrive here (DONT_MASK is off: there are no ACLs to look at
// first).

void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  Reply reply(request);
  answer(reply, filesystem_of(request).mknod(caller_of(request), parent, name, mode, device), send_entry);
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  Reply reply(request);
  answer(reply, filesystem_of(request).mkdir(caller_of(request), parent, name, mode), send_entry);
}

void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  Reply reply(request);
  answer(reply, filesystem_of(request).symlink(caller_of(request), parent, name, target), send_entry);
}

void link(fuse_req_t request, fuse_ino_t inode, fuse_ino_t new_parent, const char* new_name) {
  Reply reply(request);
  answer(reply, filesystem_of(request).link(inode, new_parent, new_name), send_entry);
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Reply reply(request);
  answer(reply, filesystem_of(request).unlink(parent, name), send_success);
}

void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Reply reply(request);
  answer(reply, filesystem_of(request).rmdir(parent, name), send_success);
}

void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent, const char* new_name,
            unsigned flags) {
  Reply reply(request);
  RenameMode mode;
  switch (flags) {
    case 0:
      mode = RenameMode::replace;
      break;
    case RENAME_NOREPLACE:
      mode = RenameMode::no_replace;
      break;
    case RENAME_EXCHANGE:
      mode = RenameMode::exchange;
      break;
    default:
      return reply.errnum(EINVAL);
  }
  answer(reply, filesystem_of(request).rename(parent, name, new_parent, new_name, mode), send_success);
}

}  // namespace

void add_name_operations(fuse_lowlevel_ops& table) {
  table.lookup = lookup;
  table.forget = forget;
  table.forget_multi = forget_multi;
  table.mknod = mknod;
  table.mkdir = mkdir;
  table.symlink = symlink;
  table.link = link;
  table.unlink = unlink;
  table.rmdir = rmdir;
  table.rename = rename;
}

}  // namespace artifactfs
