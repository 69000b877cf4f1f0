#include "fetch/answer_reader.h"

#include <fmt/format.h>

namespace artifactfs {

AnswerReader::AnswerReader(std::unique_ptr<Response> response, Cancellation* cancellation)
    : response_(std::move(response)), cancellation_(cancellation), scope_(cancellation, *response_) {}

Result<PktLine> AnswerReader::next() {
  for (;;) {
    TRY_ASSIGN(const auto packet, packets_.next());
    if (packet) return *packet;
    const auto n = response_->read(buffer_);
    if (cancellation_ != nullptr && cancellation_->cancelled()) return fail_cancelled();
    if (!n) return fail(n.error());
    if (*n == 0) {
      ended_ = true;
      return fail(ErrorCode::unavailable, "cannot read the server's answer",
                  fmt::format("the connection was cut after {} bytes", bytes_));
    }
    bytes_ += *n;
    packets_.feed(std::span<const std::byte>(buffer_).first(*n));
  }
}

void AnswerReader::drain() {
  // One read is enough to meet the end. A server that goes on talking loses its connection, not we our answer.
  (void)response_->read(buffer_);
}

}  // namespace artifactfs
