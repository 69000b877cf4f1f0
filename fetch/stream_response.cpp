#include "fetch/stream_response.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/log.h"
#include "fetch/upload_pack_error.h"

namespace artifactfs {

namespace {

constexpr std::string_view kVersion2 = "000eversion 2\n";
constexpr std::string_view kVersion2Bare = "000dversion 2";

bool is_prefix_of_version2(std::string_view text) {
  return kVersion2.substr(0, text.size()) == text.substr(0, kVersion2.size()) ||
         kVersion2Bare.substr(0, text.size()) == text.substr(0, kVersion2Bare.size());
}

}  // namespace

StreamResponse::StreamResponse(StreamTransport& transport, std::string request, std::unique_ptr<Wakeup> wakeup)
    : transport_(transport), request_(std::move(request)), wakeup_(std::move(wakeup)) {}

StreamResponse::~StreamResponse() {
  transport_.forget(this);
  finish(false);
}

void StreamResponse::cancel() noexcept {
  cancelled_ = true;
  wakeup_->set();
  transport_.changed_.notify_all();
}

void StreamResponse::finish(bool reusable) {
  if (holds_place_) transport_.give_back(std::move(connection_), reusable);
  holds_place_ = false;
}

Error StreamResponse::named(Error error) const {
  error.cause = error.sentence == "cannot fetch" ? error.cause : error.text();
  error.sentence = "cannot fetch from '" + transport_.shown_url_ + "'";
  return error;
}

Result<size_t> StreamResponse::read(std::span<std::byte> into) {
  if (!failed_ && cancelled_) failed_ = Error{ErrorCode::cancelled, "cannot fetch", "the request was cancelled"};
  if (!failed_ && !opened_) {
    if (auto opened = open(); !opened) failed_ = named(opened.error());
    opened_ = true;
  }
  if (failed_) {
    finish(false);
    return fail(*failed_);
  }
  if (!ready_.empty()) {
    const size_t n = std::min(into.size(), ready_.size());
    std::memcpy(into.data(), ready_.data(), n);
    ready_.erase(0, n);
    return n;
  }
  if (done_) return size_t{0};
  auto n = receive(into);
  if (!n) {
    failed_ = named(n.error());
    finish(false);
    return fail(*failed_);
  }
  return *n;
}

// A connection from the pool may have died while it was idle; that shows only when it is used, and is no failure of
// this request: it is then repeated, once, on a fresh one.
Result<void> StreamResponse::open() {
  for (const bool fresh : {false, true}) {
    TRY_ASSIGN(const bool sent, send_on(fresh));
    if (sent) return {};
    finish(false);
  }
  return fail(ended_early());
}

Result<bool> StreamResponse::send_on(bool fresh) {
  TRY_ASSIGN(connection_, transport_.take(fresh, cancelled_));
  holds_place_ = true;
  const bool is_new = connection_ == nullptr;
  if (is_new) {
    TRY_ASSIGN(connection_, transport_.dial(*wakeup_));
    TRY(handshake());
  }
  if (request_.empty()) {
    if (connection_->advertisement.empty()) return true;  // v0 or v1: the rest streams
    ready_ = connection_->advertisement;
    done_ = true;
    finish(true);
    return true;
  }
  if (connection_->advertisement.empty()) {
    return fail(ErrorCode::not_supported, "cannot fetch", "the server does not speak git's protocol version 2");
  }
  if (auto written = connection_->write(request_, Transport::kStallTimeout, *wakeup_); !written) {
    if (!is_new && written.error().code == ErrorCode::unavailable) return false;
    return fail(written.error());
  }
  transport_.bytes_sent_ += request_.size();
  // The first bytes are read here, while there still is a way back.
  std::array<std::byte, 4096> buffer;
  TRY_ASSIGN(const size_t n, connection_->read(buffer, Transport::kStallTimeout, *wakeup_));
  if (n == 0 && !is_new) return false;
  if (n == 0) return fail(ended_early());
  transport_.bytes_received_ += n;
  const size_t used = scanner_.feed(std::span(buffer).first(n));
  ready_.assign(reinterpret_cast<const char*>(buffer.data()), used);
  if (scanner_.broken()) return fail(ErrorCode::protocol, "cannot fetch", "the answer is not in git's protocol");
  if (scanner_.at_end()) {
    done_ = true;
    finish(used == n);
  }
  return true;
}

Result<void> StreamResponse::handshake() {
  const Deadline deadline = Clock::system().now() + Transport::kConnectTimeout;
  auto read = read_advertisement(deadline);
  if (!read && read.error().code == ErrorCode::timeout) {
    return fail(ErrorCode::timeout, "cannot fetch", "the server does not answer: " + connection_->complaint());
  }
  return read;
}

// v2: to its flush, kept with the connection. Else what has been read so far is the beginning of the answer.
Result<void> StreamResponse::read_advertisement(Deadline deadline) {
  PktScanner scanner;
  std::string text;
  std::array<std::byte, 4096> buffer;
  for (;;) {
    TRY_ASSIGN(const size_t n, connection_->read(buffer, deadline - Clock::system().now(), *wakeup_));
    if (n == 0) return fail(ended_early());
    transport_.bytes_received_ += n;
    const size_t used = scanner.feed(std::span(buffer).first(n));
    text.append(reinterpret_cast<const char*>(buffer.data()), n);
    if (scanner.broken()) {
      return fail(ErrorCode::protocol, "cannot fetch",
                  "the answer is not in git's protocol: " + connection_->complaint());
    }
    if (text.size() >= kVersion2.size() && !is_prefix_of_version2(text)) {
      if (text.size() > 8 && std::string_view(text).substr(4).starts_with("ERR ")) {
        return fail(upload_pack_error(std::string_view(text).substr(8)));
      }
      ready_ = std::move(text);
      scanner_ = scanner;
      done_ = scanner.at_end();
      return {};
    }
    if (scanner.at_end() && used != n) {
      return fail(ErrorCode::protocol, "cannot fetch", "the server talks without being asked");
    }
    if (scanner.at_end()) {
      connection_->advertisement = std::move(text);
      return {};
    }
    if (text.size() > StreamTransport::kMaxAdvertisementBytes) {
      return fail(ErrorCode::protocol, "cannot fetch", "the server's capabilities have no end");
    }
  }
}

Result<size_t> StreamResponse::receive(std::span<std::byte> into) {
  TRY_ASSIGN(const size_t n, connection_->read(into, Transport::kStallTimeout, *wakeup_));
  if (n == 0) {
    if (!scanner_.last_was_error()) return fail(ended_early());
    done_ = true;
    finish(false);
    return size_t{0};
  }
  transport_.bytes_received_ += n;
  const size_t used = scanner_.feed(into.first(n));
  if (scanner_.broken()) return fail(ErrorCode::protocol, "cannot fetch", "the answer is not in git's protocol");
  if (scanner_.at_end()) {
    done_ = true;
    // A v0 or v1 server waits for wants now; nothing more is asked of it.
    finish(used == n && !request_.empty());
  }
  return used;
}

Error StreamResponse::ended_early() {
  const std::string words = connection_ ? connection_->complaint() : std::string();
  if (!words.empty()) return upload_pack_error(words);
  return {ErrorCode::unavailable, "cannot fetch", "the server closed the connection in the middle"};
}

}  // namespace artifactfs
