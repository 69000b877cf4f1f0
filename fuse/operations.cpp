#include "fuse/operations.h"

#include <cerrno>

#include "fuse/operation.h"

namespace artifactfs {

namespace {

void init(void* connection, fuse_conn_info* info) { static_cast<Connection*>(connection)->settings.choose(*info); }

// OPEN, OPENDIR: no state is kept per open file, and this answer, given once, makes the kernel stop asking. It then
// sends no RELEASE or RELEASEDIR, and takes pages, listings and links as valid until invalidated.
//
// The same answer comes from libfuse for what has no operation here: FLUSH; CREATE, for which the kernel then sends
// MKNOD; locks, which it keeps itself (nobody else has this mount's files).
void not_needed(fuse_req_t request, fuse_ino_t, fuse_file_info*) { Reply(request).errnum(ENOSYS); }

void open_after_read(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) {
  run_parkable(request, [&](Reply reply) {
    return filesystem_of(request).read(
        inode, 0, 1,
        answering<ReadData>(std::move(reply), [info = *info](Reply& to, const ReadData&) { to.opened(info); }));
  });
}

fuse_lowlevel_ops make_operations(bool open_reads) {
  fuse_lowlevel_ops table{};
  table.init = init;
  table.open = open_reads ? open_after_read : not_needed;
  table.opendir = not_needed;
  add_name_operations(table);
  add_read_operations(table);
  add_directory_operations(table);
  add_write_operations(table);
  return table;
}

}  // namespace

Caller caller_of(fuse_req_t request) {
  const fuse_ctx* const context = fuse_req_ctx(request);
  return {.uid = context->uid, .gid = context->gid, .pid = context->pid};
}

void note_interrupt(fuse_req_t request, void* parked_id) {
  connection_of(request).interrupts.watch(reinterpret_cast<uint64_t>(parked_id));
}

const fuse_lowlevel_ops& operations(bool open_reads) {
  static const fuse_lowlevel_ops usual = make_operations(false);
  static const fuse_lowlevel_ops opening = make_operations(true);
  return open_reads ? opening : usual;
}

}  // namespace artifactfs
