#include "fuse/kernel_settings.h"

#include <linux/fuse.h>
#include <unistd.h>

#include <cstring>

namespace artifactfs {

namespace {
constexpr uint64_t kAddedToInit = FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2;
}

bool KernelSettings::note_offer(std::span<const std::byte> request) {
  fuse_in_header header;
  fuse_init_in init{};
  // Older kernels send a shorter INIT; its first four words, flags among them, are always there.
  constexpr size_t kLeastInit = offsetof(fuse_init_in, flags) + sizeof init.flags;
  if (request.size() < sizeof header + kLeastInit) return false;
  std::memcpy(&header, request.data(), sizeof header);
  if (header.opcode != FUSE_INIT) return false;
  std::memcpy(&init, request.data() + sizeof header, kLeastInit);
  offered_ = init.flags;
  answering_init_ = true;
  return true;
}

void KernelSettings::choose(fuse_conn_info& connection) const {
  constexpr unsigned kWanted = FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS | FUSE_CAP_CACHE_SYMLINKS;
  connection.want = connection.capable & kWanted;
  connection.max_read = max_read_bytes_;
  connection.max_background = kMaxBackground;
  connection.congestion_threshold = kMaxBackground;
}

ssize_t KernelSettings::write(int fd, const iovec* parts, int count) {
  if (!answering_init_) return ::writev(fd, parts, count);
  answering_init_ = false;
  fuse_init_out answer{};
  if (count != 2 || parts[1].iov_len != sizeof answer) return ::writev(fd, parts, count);
  std::memcpy(&answer, parts[1].iov_base, sizeof answer);
  answer.flags |= static_cast<uint32_t>(offered_ & kAddedToInit);
  const iovec completed[2] = {parts[0], {&answer, sizeof answer}};
  return ::writev(fd, completed, 2);
}

}  // namespace artifactfs
