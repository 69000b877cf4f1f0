// HttpTransport: git's smart HTTP protocol (https://git-scm.com/docs/http-protocol) over http and https.
//
// Each command is a POST of its own on a keep-alive connection; several run at a time
// (CurlLoop::kMaxConnectionsPerHost, more wait for a connection). Requests are sent when the call is made; failures of
// the exchange (status, redirect, credentials, content type) are reported by the answer's first read(), so that
// everything that waits can be cancelled.
//
// Redirects are followed by us, not by curl: on the first request only (git's http.followRedirects=initial), and what
// is secret goes to no other server (credentials, and http.extraHeader unless it stands in http.<url> for that server).
#pragma once

#include <atomic>
#include <memory>
#include <set>
#include <string>

#include "base/mutex.h"
#include "fetch/credentials.h"
#include "fetch/curl_loop.h"
#include "fetch/git_config.h"
#include "fetch/transport.h"
#include "fetch/user_file.h"

namespace artifactfs {

class HttpTransport final : public Transport {
 public:
  static constexpr int kMaxRedirects = 20;               // as git
  static constexpr size_t kGzipFromBytes = 1024;         // shorter request bodies go as they are
  static constexpr size_t kMaxErrorBodyBytes = 1 << 16;  // of a refusal's body; more is not read

  static Result<std::unique_ptr<Transport>> make(const RemoteUrl& remote, GitConfig config,
                                                 const TransportContext& context);
  ~HttpTransport() override;

  Result<std::unique_ptr<Response>> advertisement() override;
  Result<std::unique_ptr<Response>> command(std::string request) override;
  void shutdown() noexcept override;
  TransportStats stats() const override;
  TimePoint not_before() const override;
  std::optional<Credential> credential() const override { return own_authenticator_->current().credential; }
  void forget_credential(const Credential& refused) override { own_authenticator_->forget(refused); }

 private:
  friend class HttpResponse;

  /// Where requests go and how; replaced as a whole by a redirect.
  struct Endpoint {
    RemoteUrl url;
    std::string base;  // the URL without credentials and without a trailing slash
    HttpSettings settings;
    std::shared_ptr<const UserFile> ca_info, client_cert, client_key, cookies, netrc;  // null: none
    std::shared_ptr<Authenticator> authenticator;  // of this server: credentials cannot meet another server's URL
    bool confirmed = false;                        // it has answered, so that redirects are no longer "initial"
  };
  using EndpointPtr = std::shared_ptr<const Endpoint>;

  /// One request, as it can be repeated after a redirect or with other credentials.
  struct Request {
    bool advertisement = false;
    std::string body = {};
    bool gzipped = false;
  };

  HttpTransport(const RemoteUrl& remote, GitConfig config, const TransportContext& context);

  /// `moved_from`: the endpoint of a redirect to `url`; null for the user's own URL.
  Result<EndpointPtr> make_endpoint(const RemoteUrl& url, const Endpoint* moved_from) const;
  EndpointPtr endpoint() const;
  void confirm(const EndpointPtr& answered);
  /// The endpoint after `from` answered `request` with a redirect to `target`.
  Result<EndpointPtr> redirected(const EndpointPtr& from, const Request& request, const std::string& target);

  std::shared_ptr<CurlTransfer> start(const Endpoint& endpoint, const Request& request,
                                      const Authenticator::Current& credentials);
  static std::string request_url(const Endpoint& endpoint, const Request& request);
  static void set_security(CURL* easy, const Endpoint& endpoint);
  static void set_connection(CURL* easy, const Endpoint& endpoint);
  void note_refusal(const HttpHead& head);
  Result<std::unique_ptr<Response>> respond(Request request);
  void forget(Response* response);

  const TransportContext context_;
  const GitConfig config_;
  const std::string shown_url_;
  const std::shared_ptr<Authenticator> own_authenticator_;  // of the user's own URL
  TransportCounters counters_;
  std::atomic<long> auth_schemes_{CURLAUTH_BASIC};  // what credentials are sent by
  mutable Mutex mutex_;
  EndpointPtr endpoint_ GUARDED_BY(mutex_);
  TimePoint not_before_ GUARDED_BY(mutex_);
  bool shut_down_ GUARDED_BY(mutex_) = false;
  std::set<Response*> responses_ GUARDED_BY(mutex_);
  CurlLoop loop_;  // last: ended before what its transfers refer to
};

}  // namespace artifactfs
