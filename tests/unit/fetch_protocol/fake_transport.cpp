#include "fake_transport.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "fetch/pkt_line.h"

namespace artifactfs::testing {

class FakeResponse : public Response {
 public:
  FakeResponse(FakeTransport& transport, FakeAnswer answer) : transport_(transport), answer_(std::move(answer)) {}

  Result<size_t> read(std::span<std::byte> into) override {
    MutexLock lock(transport_.mutex_);
    if (position_ == answer_.bytes.size() && answer_.hangs_at_end) {
      ++transport_.hanging_;
      transport_.changed_.notify_all();
      while (!cancelled_) transport_.changed_.wait(lock);
    }
    if (cancelled_) return fail(ErrorCode::cancelled, "cannot read", "cancelled");
    size_t n = std::min(into.size(), answer_.bytes.size() - position_);
    if (answer_.slice_bytes != 0) n = std::min(n, answer_.slice_bytes);
    std::memcpy(into.data(), answer_.bytes.data() + position_, n);
    position_ += n;
    return n;
  }

  void cancel() noexcept override {
    MutexLock lock(transport_.mutex_);
    cancelled_ = true;
    transport_.changed_.notify_all();
  }

 private:
  FakeTransport& transport_;
  const FakeAnswer answer_;
  size_t position_ = 0;
  bool cancelled_ = false;
};

namespace {
Result<FakeAnswer> take(std::deque<Result<FakeAnswer>>& queue) {
  if (queue.empty()) return fail(ErrorCode::internal, "cannot answer", "the test has queued no answer");
  auto answer = std::move(queue.front());
  queue.pop_front();
  return answer;
}
}  // namespace

Result<std::unique_ptr<Response>> FakeTransport::advertisement() {
  MutexLock lock(mutex_);
  ++advertisements_asked;
  TRY_ASSIGN(FakeAnswer answer, take(advertisements));
  return std::make_unique<FakeResponse>(*this, std::move(answer));
}

Result<std::unique_ptr<Response>> FakeTransport::command(std::string request) {
  MutexLock lock(mutex_);
  requests.push_back(std::move(request));
  TRY_ASSIGN(FakeAnswer answer, take(answers));
  return std::make_unique<FakeResponse>(*this, std::move(answer));
}

void FakeTransport::wait_for_hanging(int count) {
  MutexLock lock(mutex_);
  while (hanging_ < count) changed_.wait(lock);
}

std::string packets(const std::vector<std::string>& lines) {
  PktLineWriter writer;
  for (const auto& line : lines) {
    if (line == "0000") {
      writer.flush();
    } else if (line == "0001") {
      writer.delim();
    } else if (line == "0002") {
      writer.response_end();
    } else {
      writer.text(line);
    }
  }
  return writer.take();
}

std::string band_1(std::string_view pack, size_t packet_bytes) {
  PktLineWriter writer;
  for (size_t begin = 0; begin < pack.size(); begin += packet_bytes)
    writer.data("\1" + std::string(pack.substr(begin, packet_bytes)));
  return writer.take();
}

}  // namespace artifactfs::testing
