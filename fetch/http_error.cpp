#include "fetch/http_error.h"

#include <fmt/format.h>

#include "base/log.h"
#include "fetch/curl_loop.h"

namespace artifactfs {

namespace {

constexpr std::string_view kSentence = "cannot fetch";
constexpr size_t kMaxShownBody = 300;

Error make(ErrorCode code, std::string cause) { return {code, std::string(kSentence), std::move(cause)}; }

std::string shown_body(std::string_view body) {
  std::string out;
  for (const char c : body.substr(0, kMaxShownBody)) {
    if (c == '\n' || c == '\r' || c == '\t') {
      if (!out.ends_with(' ')) out += ' ';
    } else if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) {
      out += c;
    }
  }
  while (out.ends_with(' ')) out.pop_back();
  return out.empty() ? out : ": " + log::redact(out);
}

}  // namespace

Error curl_failure(CURLcode code, std::string_view detail, long proxy_status, bool answer_begun) {
  const std::string words = log::redact(detail.empty() ? curl_easy_strerror(code) : detail);
  if (proxy_status >= 400) {
    return make(proxy_status == 407 ? ErrorCode::unauthorized : ErrorCode::unavailable,
                fmt::format("the proxy answers {} (HTTP {})",
                            proxy_status == 407 ? "that it wants other credentials; see http.proxy" : "with an error",
                            proxy_status));
  }
  switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
      return make(ErrorCode::cancelled, "the request was cancelled");
    case CURLE_COULDNT_RESOLVE_HOST:
      return make(ErrorCode::unavailable, "the server's name cannot be resolved: " + words);
    case CURLE_COULDNT_RESOLVE_PROXY:
      return make(ErrorCode::unavailable, "the proxy's name cannot be resolved: " + words);
    case CURLE_COULDNT_CONNECT:
      return make(ErrorCode::unavailable, "no connection to the server: " + words);
    case CURLE_OPERATION_TIMEDOUT:
      return make(ErrorCode::timeout, (answer_begun ? "the server stopped sending: " : "no answer in time: ") + words);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      return make(ErrorCode::unavailable, "the server's certificate is not trusted: " + words +
                                              " (git's http.sslCAInfo names a file of further certificates to trust)");
    case CURLE_SSL_CACERT_BADFILE:
      return make(ErrorCode::invalid_argument, "the file of trusted certificates cannot be used: " + words);
    case CURLE_SSL_CERTPROBLEM:
      return make(ErrorCode::invalid_argument, "the client certificate or its key cannot be used: " + words);
    case CURLE_SSL_CONNECT_ERROR:
      return make(ErrorCode::unavailable, "the TLS handshake failed: " + words);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return make(ErrorCode::invalid_argument, words);
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
      return make(ErrorCode::internal, words);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
      return make(ErrorCode::protocol, "the server does not speak HTTP as it should: " + words);
    default:
      return make(
          ErrorCode::unavailable,
          (answer_begun ? "the connection broke in the middle of the answer: " : "the connection broke: ") + words);
  }
}

Error status_failure(const HttpHead& head, std::string_view body) {
  const auto say = [&](ErrorCode code, std::string_view words) {
    return make(code, fmt::format("{} (HTTP {}){}", words, head.status, shown_body(body)));
  };
  switch (head.status) {
    case 401:
      return say(ErrorCode::unauthorized, "the server wants other credentials");
    case 403:
      return say(ErrorCode::forbidden, "the server refuses access");
    case 404:
    case 410:
      return say(ErrorCode::not_found, "there is no such repository, or it is hidden from these credentials");
    case 407:
      return say(ErrorCode::unauthorized, "the proxy wants other credentials; see http.proxy");
    case 408:
      return say(ErrorCode::timeout, "the server did not get the request in time");
    case 429:
      return say(ErrorCode::unavailable,
                 head.retry_after_seconds == 0
                     ? "the server wants fewer requests"
                     : fmt::format("the server wants fewer requests, and none for {} s", head.retry_after_seconds));
    default:
      break;
  }
  if (head.status >= 500) {
    return say(ErrorCode::unavailable,
               head.retry_after_seconds == 0
                   ? "the server failed"
                   : fmt::format("the server failed and wants no request for {} s", head.retry_after_seconds));
  }
  if (head.status >= 300 && head.status < 400) {
    return say(ErrorCode::protocol, "the server redirects where git does not follow (see http.followRedirects)");
  }
  return say(ErrorCode::protocol, "the server gives an unexpected answer");
}

}  // namespace artifactfs
