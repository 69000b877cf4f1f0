// AnswerReader: the pkt-lines of one Response, pulled. Not thread-safe; one instance an answer.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/error.h"
#include "fetch/cancellation.h"
#include "fetch/pkt_line.h"
#include "fetch/transport.h"

namespace artifactfs {

class AnswerReader {
 public:
  static constexpr size_t kReadBytes = size_t{64} << 10;

  /// `cancellation` may be null.
  AnswerReader(std::unique_ptr<Response> response, Cancellation* cancellation);

  /// Blocks for the next packet, which is valid until the next call. ErrorCode::unavailable when the answer ends before
  /// it (only the caller knows that it is complete, and asks no more), protocol, cancelled, or the transport's error.
  Result<PktLine> next();
  /// The answer is complete: reads to its end, so that the connection can be used again.
  void drain();

  uint64_t bytes() const { return bytes_; }
  /// The answer was empty.
  bool cut_at_start() const { return ended_ && bytes_ == 0; }

 private:
  std::unique_ptr<Response> response_;
  Cancellation* cancellation_;
  Cancellation::Scope scope_;
  PktLineReader packets_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kReadBytes);
  uint64_t bytes_ = 0;
  bool ended_ = false;
};

}  // namespace artifactfs
