// HttpResponse: the answer to one request of an HttpTransport, through as many exchanges as redirects and credentials
// take. Reads belong to one thread; cancel() to any.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "fetch/http_transport.h"

namespace artifactfs {

class HttpResponse final : public Response {
 public:
  HttpResponse(HttpTransport& transport, HttpTransport::Request request);
  ~HttpResponse() override;

  /// Sends the request for the first time. Called once, before anything else.
  void start();
  Result<size_t> read(std::span<std::byte> into) override;
  void cancel() noexcept override;

 private:
  void send();
  /// For the reading thread, which alone replaces it.
  CurlTransfer& exchange() NO_THREAD_SAFETY_ANALYSIS { return *transfer_; }
  Result<void> open();
  Result<bool> handle_refusal();
  Result<void> check_content(const HttpHead& head);
  Result<void> drop_preamble();
  Result<void> peek(size_t bytes);
  std::string error_body(const HttpHead& head);
  Error named(Error error) const;

  HttpTransport& transport_;
  const HttpTransport::Request request_;
  HttpTransport::EndpointPtr endpoint_;
  Authenticator::Current credentials_;
  int refusals_ = 0;
  int redirects_ = 0;
  bool opened_ = false;
  std::optional<Error> failed_;  // what open() failed with
  std::string peeked_;           // bytes read ahead, not yet given out
  std::atomic<bool> cancelled_{false};
  Mutex mutex_;
  std::shared_ptr<CurlTransfer> transfer_ GUARDED_BY(mutex_);  // replaced only by the reading thread
};

}  // namespace artifactfs
