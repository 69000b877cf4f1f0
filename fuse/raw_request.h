// RawRequest: the request that a session thread is serving, as the kernel wrote it (<linux/fuse.h>): for what libfuse
// 3.14 does not pass on. WRITE's flag to clear set-user-id and set-group-id it drops, and TMPFILE it does not know.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "workdir/filesystem.h"

namespace artifactfs {

/// While it lives, write_flags() on this thread is about `bytes`, which must outlive it.
class RawRequest {
 public:
  explicit RawRequest(std::span<const std::byte> bytes);
  ~RawRequest();
  RawRequest(const RawRequest&) = delete;
  RawRequest& operator=(const RawRequest&) = delete;

  /// FUSE_WRITE_* of the WRITE that this thread is serving; 0 when it is serving something else.
  static uint32_t write_flags();

  /// Answers a TMPFILE (open(2) with O_TMPFILE) on the connection `device`. False: it is something else.
  bool answer_tmpfile(int device, Filesystem& filesystem) const;

 private:
  const std::span<const std::byte> bytes_;
};

}  // namespace artifactfs
