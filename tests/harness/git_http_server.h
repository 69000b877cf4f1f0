// GitHttpServer: nginx + fcgiwrap + git-http-backend on loopback, serving a directory of bare repositories over
// HTTP/1.1 with keep-alive and, if asked for, over TLS with HTTP/2. Where a repository is found depends on the first
// part of the URL's path:
//
//   /<repo>                 smart HTTP, protocol v2 when the client asks for it
//   /old/<repo>             as a server that has never heard of Git-Protocol (v0 only)
//   /auth/<repo>            basic authentication with HttpServerOptions::user and password
//   /header/<repo>          403 unless the request has "X-Artifactfs-Test: yes"
//   /dumb/<repo>            static files (ServeOptions::update_server_info)
//   /redirect/<repo>        301 to /<repo>; /redirect-auth/ to /auth/; /redirect-host/ to the same under "localhost"
//   /redirect-loop/         302 to itself
//   /status/<code>/<repo>   answers 401, 403, 404, 429 (Retry-After: 7), 500 or 503
//   /post-500/<repo>        the advertisement as usual, then 500 to every POST
//   /html/<repo>            200 with a web page
//
// An absolute request target is served as its path, so the HTTP port is a usable http.proxy for any http:// URL.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/harness/server_process.h"
#include "tests/harness/temporary_directory.h"

namespace artifactfs::test {

struct HttpServerOptions {
  bool tls = false;  // a second port with TLS, HTTP/2 and a certificate for 127.0.0.1 and localhost
  std::string user = "alice";
  std::string password = "s3cret&word";
  unsigned backend_workers = 8;
};

/// One line of the access log.
struct AccessLogEntry {
  std::string method;
  std::string target;  // path and query as sent
  int status = 0;
  uint64_t bytes_sent = 0;      // headers and body
  uint64_t bytes_received = 0;  // headers and body
  uint64_t connection = 0;      // the same number for requests of one connection
  std::string http_version;     // "HTTP/1.1", "HTTP/2.0"
  std::string host;
  std::string git_protocol;      // the Git-Protocol header, or "-"
  std::string content_encoding;  // of the request, or "-"
  std::string user_agent;
  bool authorization = false;  // an Authorization header was sent
};

class GitHttpServer {
 public:
  /// Serves the bare repositories inside `root`. Throws std::runtime_error when a part does not start.
  explicit GitHttpServer(std::filesystem::path root, HttpServerOptions options = {});

  uint16_t port() const { return port_; }
  uint16_t tls_port() const { return tls_port_; }
  /// "http://127.0.0.1:<port>/<path>"
  std::string url(std::string_view path) const;
  /// "https://127.0.0.1:<port>/<path>"
  std::string tls_url(std::string_view path) const;
  /// The CA's certificate (PEM), for http.sslCAInfo.
  std::filesystem::path ca_file() const { return directory_ / "ca.pem"; }
  const HttpServerOptions& options() const { return options_; }

  /// nginx writes a line when it has sent an answer, which may be a moment after the client has read it.
  std::vector<AccessLogEntry> access_log() const;
  /// The log once it has at least `count` entries; throws after 10 s.
  std::vector<AccessLogEntry> wait_for_requests(size_t count) const;
  void clear_access_log() const;
  /// nginx's and the backend's complaints, for a failed test's message.
  std::string error_log() const;

 private:
  void make_certificates() const;
  std::string configuration() const;

  TemporaryDirectory directory_;
  std::filesystem::path root_;
  HttpServerOptions options_;
  uint16_t port_ = 0;
  uint16_t tls_port_ = 0;
  std::unique_ptr<ServerProcess> backend_;
  std::unique_ptr<ServerProcess> nginx_;  // after backend_: ended first
};

}  // namespace artifactfs::test
