#include "fetch/http_response.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>

#include "fetch/http_error.h"

namespace artifactfs {

namespace {

constexpr std::string_view kAdvertisementType = "application/x-git-upload-pack-advertisement";
constexpr std::string_view kResultType = "application/x-git-upload-pack-result";
constexpr std::string_view kService = "# service=git-upload-pack";

bool looks_like_dumb_refs(std::string_view body) {
  return body.size() > 40 && body[40] == '\t' &&
         std::ranges::all_of(body.substr(0, 40), [](unsigned char c) { return std::isxdigit(c) != 0; });
}

std::optional<size_t> pkt_length(std::string_view four) {
  size_t length = 0;
  const auto [end, error] = std::from_chars(four.begin(), four.end(), length, 16);
  if (four.size() != 4 || error != std::errc() || end != four.end()) return std::nullopt;
  return length;
}

}  // namespace

HttpResponse::HttpResponse(HttpTransport& transport, HttpTransport::Request request)
    : transport_(transport), request_(std::move(request)) {}

HttpResponse::~HttpResponse() {
  transport_.forget(this);
  MutexLock lock(mutex_);
  if (transfer_) transport_.loop_.remove(transfer_);
}

void HttpResponse::start() {
  endpoint_ = transport_.endpoint();
  credentials_ = endpoint_->authenticator->current();
  send();
}

void HttpResponse::send() {
  auto transfer = transport_.start(*endpoint_, request_, credentials_);
  MutexLock lock(mutex_);
  if (transfer_) transport_.loop_.remove(transfer_);
  transfer_ = std::move(transfer);
  if (cancelled_) transfer_->cancel();
}

void HttpResponse::cancel() noexcept {
  cancelled_ = true;
  MutexLock lock(mutex_);
  if (transfer_) transfer_->cancel();
}

Error HttpResponse::named(Error error) const {
  if (error.cause.empty()) error.cause = error.sentence;
  error.sentence = "cannot fetch from '" + transport_.shown_url_ + "'";
  return error;
}

Result<size_t> HttpResponse::read(std::span<std::byte> into) {
  if (failed_) return fail(*failed_);
  if (!opened_) {
    if (auto opened = open(); !opened) {
      failed_ = named(opened.error());
      return fail(*failed_);
    }
    opened_ = true;
  }
  if (!peeked_.empty()) {
    const size_t n = std::min(into.size(), peeked_.size());
    std::memcpy(into.data(), peeked_.data(), n);
    peeked_.erase(0, n);
    return n;
  }
  auto n = exchange().read(into);
  if (!n) return fail(named(n.error()));
  return *n;
}

// Waits for the head, and repeats the request as redirects and refusals demand, until there is an answer to read.
Result<void> HttpResponse::open() {
  for (;;) {
    TRY_ASSIGN(HttpHead head, exchange().head());
    if (head.status == 200) {
      transport_.confirm(endpoint_);
      endpoint_->authenticator->succeeded(credentials_.generation);
      return check_content(head);
    }
    transport_.note_refusal(head);
    const std::string body = error_body(head);
    TRY_ASSIGN(head, exchange().head());  // whole now, with a redirect's target
    if (head.status == 401) {
      TRY_ASSIGN(const bool again, handle_refusal());
      if (!again) return fail(status_failure(head, body));
    } else if (!head.redirect_url.empty() && redirects_++ < HttpTransport::kMaxRedirects) {
      TRY_ASSIGN(endpoint_, transport_.redirected(endpoint_, request_, head.redirect_url));
      credentials_ = endpoint_->authenticator->current();
      refusals_ = 0;
    } else {
      return fail(status_failure(head, body));
    }
    send();
  }
}

// True when there are other credentials to try. Those that this request itself has asked for are final: asking the same
// helpers again would only lock the account.
Result<bool> HttpResponse::handle_refusal() {
  if (refusals_++ > 0) {
    endpoint_->authenticator->give_up(credentials_.generation);
    return false;
  }
  TRY_ASSIGN(credentials_,
             endpoint_->authenticator->after_refusal(credentials_.generation, [this] { return cancelled_.load(); }));
  return true;
}

// The body of an answer that is not 200, read to its end so that the connection can be used again; its words if plain.
std::string HttpResponse::error_body(const HttpHead& head) {
  std::string body;
  std::array<std::byte, 4096> buffer;
  while (body.size() < HttpTransport::kMaxErrorBodyBytes) {
    const auto n = exchange().read(buffer);
    if (!n || *n == 0) break;
    body.append(reinterpret_cast<const char*>(buffer.data()), *n);
  }
  return head.content_type == "text/plain" ? body : std::string();
}

Result<void> HttpResponse::check_content(const HttpHead& head) {
  constexpr std::string_view kSentence = "cannot fetch";
  if (!request_.advertisement) {
    if (head.content_type == kResultType) return {};
    return fail(ErrorCode::protocol, std::string(kSentence),
                "this is not a git server: it answers with '" + head.content_type + "'");
  }
  if (head.content_type == kAdvertisementType) return drop_preamble();
  TRY(peek(41));
  if (head.content_type == "text/plain" || looks_like_dumb_refs(peeked_)) {
    return fail(ErrorCode::not_supported, std::string(kSentence),
                "the server has only the dumb HTTP protocol, by which single objects cannot be asked for");
  }
  return fail(ErrorCode::protocol, std::string(kSentence),
              head.content_type == "text/html"
                  ? "there is a web page at this URL, not a git repository"
                  : "this is not a git server: it answers with '" + head.content_type + "'");
}

// Reads ahead until `bytes` are there or the answer ends.
Result<void> HttpResponse::peek(size_t bytes) {
  std::array<std::byte, 256> buffer;
  while (peeked_.size() < bytes) {
    const size_t wanted = std::min(bytes - peeked_.size(), buffer.size());
    TRY_ASSIGN(const size_t n, exchange().read(std::span(buffer).first(wanted)));
    if (n == 0) break;
    peeked_.append(reinterpret_cast<const char*>(buffer.data()), n);
  }
  return {};
}

// gitprotocol-http(5): v0 and v1 answers, and v2 answers of some servers, begin with "# service=..." and a flush.
Result<void> HttpResponse::drop_preamble() {
  TRY(peek(4));
  const auto length = peeked_.size() == 4 ? pkt_length(peeked_) : std::nullopt;
  if (!length) return fail(ErrorCode::protocol, "cannot fetch", "the server's answer is not in git's protocol");
  if (*length < 4 + kService.size() || *length > 4 + kService.size() + 1) return {};
  TRY(peek(*length));
  if (!std::string_view(peeked_).substr(4).starts_with(kService)) return {};
  TRY(peek(*length + 4));
  if (!peeked_.ends_with("0000")) {
    return fail(ErrorCode::protocol, "cannot fetch", "the server's answer is not in git's protocol");
  }
  peeked_.clear();
  return {};
}

}  // namespace artifactfs
