// Inflater: one zlib stream, used again for every entry of a pack (making one costs more than inflating a small tree).
// Not thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/error.h"

struct z_stream_s;

namespace artifactfs {

class Inflater {
 public:
  struct Step {
    size_t consumed = 0;
    size_t produced = 0;
    bool ended = false;  // the stream is complete and its checksum fits
  };

  Inflater();
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// Begins a new stream.
  void reset();
  /// Inflates as much as `in` and `out` allow. A step that neither consumes nor produces wants more of one of them.
  /// ErrorCode::corrupt with zlib's words when `in` is no zlib stream.
  Result<Step> inflate(std::span<const std::byte> in, std::span<std::byte> out);

 private:
  std::unique_ptr<z_stream_s> stream_;
};

}  // namespace artifactfs
