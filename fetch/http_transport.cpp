#include "fetch/http_transport.h"

#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "fetch/gzip.h"
#include "fetch/http_response.h"

namespace artifactfs {

namespace {

constexpr std::string_view kAdvertisementTail = "service=git-upload-pack";
constexpr std::string_view kCommandTail = "/git-upload-pack";

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

uint16_t effective_port(const RemoteUrl& url) {
  if (url.port != 0) return url.port;
  return url.scheme == RemoteScheme::https ? 443 : 80;
}

bool same_server(const RemoteUrl& a, const RemoteUrl& b) {
  return a.scheme == b.scheme && lower(a.host) == lower(b.host) && effective_port(a) == effective_port(b);
}

std::optional<Credential> credential_in(const RemoteUrl& url) {
  if (!url.credentials || !url.credentials->password) return std::nullopt;
  return Credential{url.credentials->username, *url.credentials->password};
}

std::string base_of(const RemoteUrl& url) {
  std::string base = url.display();
  while (base.ends_with('/')) base.pop_back();
  return base;
}

Result<std::shared_ptr<const UserFile>> open_if_named(const std::string& path, const TransportContext& context) {
  if (path.empty()) return nullptr;
  TRY_ASSIGN(UserFile file, UserFile::open(path, context));
  return std::make_shared<const UserFile>(std::move(file));
}

void append(CurlList& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  (void)list.release();
  list.reset(longer);
}

}  // namespace

Result<std::unique_ptr<Transport>> HttpTransport::make(const RemoteUrl& remote, GitConfig config,
                                                       const TransportContext& context) {
  std::unique_ptr<HttpTransport> transport(new HttpTransport(remote, std::move(config), context));
  TRY_ASSIGN(EndpointPtr endpoint, transport->make_endpoint(remote, nullptr));
  {
    MutexLock lock(transport->mutex_);
    transport->endpoint_ = std::move(endpoint);
  }
  return transport;
}

HttpTransport::HttpTransport(const RemoteUrl& remote, GitConfig config, const TransportContext& context)
    : context_(context),
      config_(std::move(config)),
      shown_url_(remote.display()),
      own_authenticator_(
          std::make_shared<Authenticator>(context_, credential_question(remote), credential_in(remote))) {}

HttpTransport::~HttpTransport() { shutdown(); }

Result<HttpTransport::EndpointPtr> HttpTransport::make_endpoint(const RemoteUrl& url,
                                                                const Endpoint* moved_from) const {
  auto endpoint = std::make_shared<Endpoint>();
  const bool other_server = moved_from != nullptr && !same_server(moved_from->url, url);
  endpoint->url = url;
  endpoint->base = base_of(url);
  endpoint->settings = config_.http_settings(endpoint->base);
  if (other_server) endpoint->settings.extra_headers = endpoint->settings.url_headers;
  if (moved_from == nullptr) {
    endpoint->authenticator = own_authenticator_;
  } else if (!other_server) {
    endpoint->authenticator = moved_from->authenticator;
  } else {
    endpoint->authenticator = std::make_shared<Authenticator>(context_, credential_question(url), credential_in(url));
  }
  TRY_ASSIGN(endpoint->ca_info, open_if_named(endpoint->settings.ssl_ca_info, context_));
  TRY_ASSIGN(endpoint->client_cert, open_if_named(endpoint->settings.ssl_cert, context_));
  TRY_ASSIGN(endpoint->client_key, open_if_named(endpoint->settings.ssl_key, context_));
  // As git: a cookie file or a netrc that is not there is no error.
  const std::string home = environment_value(context_.environment, "HOME").value_or("");
  for (const auto& [path, file] : {std::pair(endpoint->settings.cookie_file, &endpoint->cookies),
                                   std::pair(home.empty() ? "" : home + "/.netrc", &endpoint->netrc)}) {
    if (path.empty() || ::access(path.c_str(), F_OK) != 0) continue;
    if (auto opened = open_if_named(path, context_)) *file = std::move(*opened);
  }
  return endpoint;
}

HttpTransport::EndpointPtr HttpTransport::endpoint() const {
  MutexLock lock(mutex_);
  return endpoint_;
}

void HttpTransport::confirm(const EndpointPtr& answered) {
  if (answered->confirmed) return;
  auto confirmed = std::make_shared<Endpoint>(*answered);
  confirmed->confirmed = true;
  MutexLock lock(mutex_);
  if (!endpoint_->confirmed) endpoint_ = std::move(confirmed);
}

Result<HttpTransport::EndpointPtr> HttpTransport::redirected(const EndpointPtr& from, const Request& request,
                                                             const std::string& target) {
  const std::string sentence = "cannot follow a redirect";
  const auto follow = from->settings.follow_redirects;
  if (follow == FollowRedirects::never || (follow == FollowRedirects::initial && from->confirmed)) {
    return fail(ErrorCode::protocol, sentence,
                "the server redirects to '" + log::redact(target) + "', which http.followRedirects does not allow");
  }
  const std::string_view wanted = request.advertisement ? "/info/refs" : kCommandTail;
  std::string base = target;
  if (request.advertisement) {
    const size_t query = base.find_last_of("?&");
    if (query == std::string::npos || base.substr(query + 1) != kAdvertisementTail) base.clear();
    base.resize(std::min(query, base.size()));
  }
  if (!base.ends_with(wanted)) {
    return fail(ErrorCode::protocol, sentence,
                "the server redirects to '" + log::redact(target) + "', where no repository's URL can be told from");
  }
  base.resize(base.size() - wanted.size());
  TRY_ASSIGN(RemoteUrl url, RemoteUrl::parse(base));
  if (url.scheme != RemoteScheme::https &&
      (url.scheme != RemoteScheme::http || from->url.scheme == RemoteScheme::https)) {
    return fail(ErrorCode::protocol, sentence, "the server redirects from https to something less safe");
  }
  url.credentials.reset();  // user info in a redirect is the server's word, not the user's
  TRY_ASSIGN(EndpointPtr endpoint, make_endpoint(url, from.get()));
  MutexLock lock(mutex_);
  // Of several first requests under way at once, one moves the transport; the others follow it.
  if (endpoint_->base == endpoint->base) return endpoint_;
  endpoint_ = endpoint;
  lock.unlock();
  log::info("'{}' redirects to '{}'", from->base, endpoint->base);
  return endpoint;
}

std::string HttpTransport::request_url(const Endpoint& endpoint, const Request& request) {
  if (!request.advertisement) return endpoint.base + std::string(kCommandTail);
  const char separator = endpoint.base.find('?') == std::string::npos ? '?' : '&';
  return endpoint.base + "/info/refs" + separator + std::string(kAdvertisementTail);
}

void HttpTransport::set_connection(CURL* easy, const Endpoint& endpoint) {
  const HttpSettings& settings = endpoint.settings;
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, static_cast<long>(kConnectTimeout.count()));
  const bool own_limits = settings.low_speed_limit > 0 && settings.low_speed_time > 0;
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, own_limits ? static_cast<long>(settings.low_speed_limit) : 1L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                   own_limits ? static_cast<long>(settings.low_speed_time) : static_cast<long>(kStallTimeout.count()));
  curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "deflate, gzip");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                   settings.version == "HTTP/1.1" ? CURL_HTTP_VERSION_1_1
                   : settings.version == "HTTP/2" ? CURL_HTTP_VERSION_2
                                                  : CURL_HTTP_VERSION_2TLS);
  // Always set, or curl would look into the daemon's environment instead of the user's.
  curl_easy_setopt(easy, CURLOPT_PROXY, settings.proxy.value_or("").c_str());
  curl_easy_setopt(easy, CURLOPT_NOPROXY, settings.no_proxy.c_str());
  if (settings.proxy) curl_easy_setopt(easy, CURLOPT_PROXYAUTH, static_cast<long>(CURLAUTH_ANY));
  if (endpoint.cookies) curl_easy_setopt(easy, CURLOPT_COOKIEFILE, endpoint.cookies->path().c_str());
}

void HttpTransport::set_security(CURL* easy, const Endpoint& endpoint) {
  const HttpSettings& settings = endpoint.settings;
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, settings.ssl_verify ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, settings.ssl_verify ? 2L : 0L);
  if (endpoint.ca_info) curl_easy_setopt(easy, CURLOPT_CAINFO, endpoint.ca_info->path().c_str());
  if (!settings.ssl_ca_path.empty()) curl_easy_setopt(easy, CURLOPT_CAPATH, settings.ssl_ca_path.c_str());
  if (endpoint.client_cert) curl_easy_setopt(easy, CURLOPT_SSLCERT, endpoint.client_cert->path().c_str());
  if (endpoint.client_key) curl_easy_setopt(easy, CURLOPT_SSLKEY, endpoint.client_key->path().c_str());
}

std::shared_ptr<CurlTransfer> HttpTransport::start(const Endpoint& endpoint, const Request& request,
                                                   const Authenticator::Current& credentials) {
  CurlHandle handle(curl_easy_init());
  CURL* easy = handle.get();
  curl_easy_setopt(easy, CURLOPT_URL, request_url(endpoint, request).c_str());
  curl_easy_setopt(easy, CURLOPT_USERAGENT,
                   endpoint.settings.user_agent.empty() ? "git/2.40.0 (artifactfs/" ARTIFACTFS_VERSION ")"
                                                        : endpoint.settings.user_agent.c_str());
  set_connection(easy, endpoint);
  set_security(easy, endpoint);
  if (credentials.credential) {
    // Sent unasked: waiting to be asked would cost each request a round trip.
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, auth_schemes_.load());
    curl_easy_setopt(easy, CURLOPT_USERNAME, credentials.credential->username.c_str());
    curl_easy_setopt(easy, CURLOPT_PASSWORD, credentials.credential->password.c_str());
  } else if (endpoint.netrc) {
    curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_OPTIONAL));
    curl_easy_setopt(easy, CURLOPT_NETRC_FILE, endpoint.netrc->path().c_str());
  }
  CurlList headers;
  append(headers, "Git-Protocol: version=2");
  if (request.advertisement) {
    append(headers, "Accept: */*");
    append(headers, "Pragma: no-cache");
  } else {
    append(headers, "Content-Type: application/x-git-upload-pack-request");
    append(headers, "Accept: application/x-git-upload-pack-result");
    append(headers, "Expect:");
    if (request.gzipped) append(headers, "Content-Encoding: gzip");
  }
  for (const auto& header : endpoint.settings.extra_headers) append(headers, header);
  auto transfer = std::make_shared<CurlTransfer>(std::move(handle), std::move(headers), request.body, counters_);
  loop_.add(transfer);
  return transfer;
}

void HttpTransport::note_refusal(const HttpHead& head) {
  // Digest, NTLM or Negotiate only: then curl has to ask the server first, each time.
  if (head.auth_offered != 0 && (head.auth_offered & static_cast<long>(CURLAUTH_BASIC)) == 0) {
    auth_schemes_ = static_cast<long>(CURLAUTH_ANY);
  }
  if (head.retry_after_seconds == 0) return;
  const auto until = Clock::system().now() + std::chrono::seconds(std::min<uint64_t>(head.retry_after_seconds, 3600));
  MutexLock lock(mutex_);
  not_before_ = std::max(not_before_, until);
}

TimePoint HttpTransport::not_before() const {
  MutexLock lock(mutex_);
  return not_before_;
}

Result<std::unique_ptr<Response>> HttpTransport::respond(Request request) {
  auto response = std::make_unique<HttpResponse>(*this, std::move(request));
  {
    MutexLock lock(mutex_);
    if (shut_down_) {
      return fail(ErrorCode::cancelled, "cannot fetch from '" + shown_url_ + "'", "the transport is shut down");
    }
    responses_.insert(response.get());
  }
  response->start();
  return response;
}

Result<std::unique_ptr<Response>> HttpTransport::advertisement() { return respond({.advertisement = true}); }

Result<std::unique_ptr<Response>> HttpTransport::command(std::string request) {
  if (request.size() < kGzipFromBytes) return respond({.body = std::move(request)});
  return respond({.body = gzip_compress(request), .gzipped = true});
}

void HttpTransport::forget(Response* response) {
  MutexLock lock(mutex_);
  responses_.erase(response);
}

void HttpTransport::shutdown() noexcept {
  MutexLock lock(mutex_);
  shut_down_ = true;
  // Under the lock, so that none of them goes away meanwhile; cancel() waits for nothing.
  for (Response* response : responses_) response->cancel();
}

TransportStats HttpTransport::stats() const {
  return {counters_.requests, counters_.bytes_received, counters_.bytes_sent, counters_.connections};
}

}  // namespace artifactfs
