// KernelSettings: what is agreed with the kernel in INIT, and why (DESIGN.md section 7; each was tried on Linux 6.18).
//
//   AUTO_INVAL_DATA off   else a stat after a one-byte write makes the kernel read the file again
//   WRITEBACK_CACHE off   the kernel would own size and mtime, keep a placeholder size for ever, and acknowledge writes
//                         that we have not seen
//   ASYNC_READ off        parked readahead would count as background requests, which block everybody's once they are
//                         max_background; and it gets no INTERRUPT
//   ATOMIC_O_TRUNC off    without OPEN the truncation would be lost
//   HANDLE_KILLPRIV_V2    else the kernel asks for security.capability at every write (the Filesystem clears suid, sgid
//                         and security.capability when a file is written, truncated or given away)
//   READDIRPLUS           a listing brings the attributes, so that `ls -l` and `git status` need no LOOKUP
//   PARALLEL_DIROPS, CACHE_SYMLINKS   nothing of ours needs the kernel to take turns, and links change only through it
//   max_background        65535, the most there can be: what is left of background requests must not queue either
//
// libfuse 3.14.0 offers PARALLEL_DIROPS and HANDLE_KILLPRIV as capabilities but never tells the kernel, and V2 it does
// not know; so the answer to INIT is completed on its way out.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "fuse/lowlevel.h"

namespace artifactfs {

class KernelSettings {
 public:
  /// The largest read and write request: 256 pages, libfuse's and the kernel's limit (FUSE_MAX_MAX_PAGES).
  static constexpr uint32_t kMaxRequestBytes = uint32_t{1} << 20;
  static constexpr uint32_t kMaxBackground = 65535;

  /// `max_read_bytes`: as given with -o max_read=, or 0.
  explicit KernelSettings(uint32_t max_read_bytes) : max_read_bytes_(max_read_bytes) {}

  /// Reads what the kernel offers from its INIT request. False if `request` is something else.
  bool note_offer(std::span<const std::byte> request);
  /// For libfuse's init operation.
  void choose(fuse_conn_info& connection) const;
  /// Writes to /dev/fuse for libfuse; the answer to INIT gets what libfuse left out.
  ssize_t write(int fd, const iovec* parts, int count);

  /// The largest READ the kernel may send.
  uint32_t max_read_bytes() const { return max_read_bytes_ != 0 ? max_read_bytes_ : kMaxRequestBytes; }

 private:
  const uint32_t max_read_bytes_;
  // Both are used by the mounting thread alone, before any other may read a request.
  uint64_t offered_ = 0;
  bool answering_init_ = false;
};

}  // namespace artifactfs
