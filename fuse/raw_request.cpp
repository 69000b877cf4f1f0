#include "fuse/raw_request.h"

#include <linux/fuse.h>
#include <sys/uio.h>

#include <array>
#include <cstring>
#include <optional>

#include "fuse/errno_table.h"
#include "fuse/reply.h"

namespace artifactfs {

namespace {

thread_local std::span<const std::byte> current;

template <typename T>
std::optional<T> part(std::span<const std::byte> bytes, size_t offset) {
  if (bytes.size() < offset + sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

fuse_attr to_wire(const Attributes& attributes) {
  const struct stat stat = to_stat(attributes);
  fuse_attr wire{};
  wire.ino = stat.st_ino;
  wire.size = static_cast<uint64_t>(stat.st_size);
  wire.blocks = static_cast<uint64_t>(stat.st_blocks);
  wire.atime = static_cast<uint64_t>(stat.st_atim.tv_sec);
  wire.mtime = static_cast<uint64_t>(stat.st_mtim.tv_sec);
  wire.ctime = static_cast<uint64_t>(stat.st_ctim.tv_sec);
  wire.atimensec = static_cast<uint32_t>(stat.st_atim.tv_nsec);
  wire.mtimensec = static_cast<uint32_t>(stat.st_mtim.tv_nsec);
  wire.ctimensec = static_cast<uint32_t>(stat.st_ctim.tv_nsec);
  wire.mode = stat.st_mode;
  wire.nlink = static_cast<uint32_t>(stat.st_nlink);
  wire.uid = stat.st_uid;
  wire.gid = stat.st_gid;
  wire.blksize = static_cast<uint32_t>(stat.st_blksize);
  return wire;
}

}  // namespace

RawRequest::RawRequest(std::span<const std::byte> bytes) : bytes_(bytes) { current = bytes; }

RawRequest::~RawRequest() { current = {}; }

uint32_t RawRequest::write_flags() {
  const auto header = part<fuse_in_header>(current, 0);
  if (!header || header->opcode != FUSE_WRITE) return 0;
  const auto write = part<fuse_write_in>(current, sizeof *header);
  return write ? write->write_flags : 0;
}

bool RawRequest::answer_tmpfile(int device, Filesystem& filesystem) const {
  const auto header = part<fuse_in_header>(bytes_, 0);
  if (!header || header->opcode != FUSE_TMPFILE) return false;
  fuse_out_header answer{.len = sizeof answer, .error = 0, .unique = header->unique};
  fuse_entry_out entry{};
  // As of a file whose OPEN is not asked for.
  fuse_open_out open{};
  open.open_flags = FOPEN_KEEP_CACHE;

  const auto create = part<fuse_create_in>(bytes_, sizeof *header);
  const Caller caller{.uid = header->uid, .gid = header->gid, .pid = static_cast<pid_t>(header->pid)};
  const Result<Attributes> made = create ? filesystem.tmpfile(caller, header->nodeid, create->mode)
                                         : fail(ErrorCode::protocol, "cannot make a file", "the request is too short");
  std::array<iovec, 3> parts = {iovec{&answer, sizeof answer}, {&entry, sizeof entry}, {&open, sizeof open}};
  if (made) {
    const fuse_entry_param param = to_entry(*made);
    entry.nodeid = param.ino;
    entry.generation = param.generation;
    entry.entry_valid = static_cast<uint64_t>(param.entry_timeout);
    entry.attr_valid = static_cast<uint64_t>(param.attr_timeout);
    entry.attr = to_wire(*made);
    answer.len += sizeof entry + sizeof open;
  } else {
    answer.error = -to_errno(made.error().code);
  }
  // Fails only when the caller or the connection is gone; then nobody waits for it.
  (void)!::writev(device, parts.data(), made ? 3 : 1);
  return true;
}

}  // namespace artifactfs
