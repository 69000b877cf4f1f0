#include "tests/harness/git_http_server.h"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/harness/command.h"
#include "tests/harness/git_repository.h"

namespace artifactfs::test {

namespace {

// {user}: "user root;" for root, whose temporary directories no other user may enter. Tabs separate the log's fields.
constexpr std::string_view kConfiguration = R"(daemon off;
{user}
worker_processes 1;
pid {at}/nginx.pid;
error_log {at}/nginx_error.log warn;
events {{ worker_connections 1024; }}
http {{
  log_format test "$request_method\t$request_uri\t$status\t$bytes_sent\t$request_length\t$connection\t$server_protocol\t$http_host\t$http_git_protocol\t$http_content_encoding\t$http_user_agent\t$http_authorization";
  access_log {at}/access.log test;
  client_body_temp_path {at}/t1; fastcgi_temp_path {at}/t2; proxy_temp_path {at}/t3;
  scgi_temp_path {at}/t4; uwsgi_temp_path {at}/t5;
  client_max_body_size 0;
  keepalive_requests 100000;
  tcp_nodelay on;
  default_type application/octet-stream;
  server {{
    listen 127.0.0.1:{port};
    {tls}
    location / {{ set $repo $uri; {backend} fastcgi_param GIT_PROTOCOL $http_git_protocol; }}
    location ~ ^/old(/.*)$ {{ set $repo $1; {backend} fastcgi_param GIT_PROTOCOL ""; fastcgi_param HTTP_GIT_PROTOCOL ""; }}
    location ~ ^/auth(/.*)$ {{ set $repo $1; auth_basic "git"; auth_basic_user_file {at}/htpasswd;
      {backend} fastcgi_param REMOTE_USER $remote_user; fastcgi_param GIT_PROTOCOL $http_git_protocol; }}
    location ~ ^/header(/.*)$ {{ set $repo $1; if ($http_x_artifactfs_test != "yes") {{ return 403; }}
      {backend} fastcgi_param GIT_PROTOCOL $http_git_protocol; }}
    location ~ ^/post-500(/.*)$ {{ set $repo $1; if ($request_method = POST) {{ return 500; }}
      {backend} fastcgi_param GIT_PROTOCOL $http_git_protocol; }}
    location ^~ /dumb/ {{ alias {root}/; types {{ }} default_type text/plain; }}
    location ~ ^/redirect(/.*)$ {{ return 301 $scheme://$http_host$1$is_args$args; }}
    location ~ ^/redirect-auth(/.*)$ {{ return 301 $scheme://$http_host/auth$1$is_args$args; }}
    location ~ ^/redirect-host(/.*)$ {{ return 301 $scheme://localhost:$server_port$1$is_args$args; }}
    location ^~ /redirect-loop/ {{ return 302 $scheme://$http_host$request_uri; }}
    location ^~ /status/401/ {{ add_header WWW-Authenticate 'Basic realm="git"' always; return 401; }}
    location ^~ /status/403/ {{ return 403; }}
    location ^~ /status/404/ {{ return 404; }}
    location ^~ /status/429/ {{ add_header Retry-After 7 always; return 429; }}
    location ^~ /status/500/ {{ return 500; }}
    location ^~ /status/503/ {{ return 503; }}
    location ^~ /html/ {{ default_type text/html; return 200 "<!doctype html><title>hello</title>"; }}
  }}
}}
)";

// nginx sends every request header as HTTP_*, among them HTTP_CONTENT_ENCODING, by which http-backend inflates bodies.
constexpr std::string_view kBackend =
    R"(fastcgi_pass unix:{at}/fcgi.sock; fastcgi_buffering off; fastcgi_read_timeout 600s;
      fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend; fastcgi_param GIT_PROJECT_ROOT {root};
      fastcgi_param GIT_HTTP_EXPORT_ALL 1; fastcgi_param PATH_INFO $repo; fastcgi_param QUERY_STRING $query_string;
      fastcgi_param REQUEST_METHOD $request_method; fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length; fastcgi_param REMOTE_ADDR $remote_addr;)";

AccessLogEntry parse_entry(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream stream(line);
  for (std::string field; std::getline(stream, field, '\t');) fields.push_back(field);
  if (fields.size() != 12) throw std::runtime_error("odd access log line: " + line);
  AccessLogEntry entry;
  entry.method = fields[0];
  entry.target = fields[1];
  entry.status = std::stoi(fields[2]);
  entry.bytes_sent = std::stoull(fields[3]);
  entry.bytes_received = std::stoull(fields[4]);
  entry.connection = std::stoull(fields[5]);
  entry.http_version = fields[6];
  entry.host = fields[7];
  entry.git_protocol = fields[8];
  entry.content_encoding = fields[9];
  entry.user_agent = fields[10];
  entry.authorization = fields[11] != "-";
  return entry;
}

}  // namespace

GitHttpServer::GitHttpServer(std::filesystem::path root, HttpServerOptions options)
    : root_(std::move(root)), options_(std::move(options)), port_(free_port()) {
  if (options_.tls) {
    make_certificates();
    do {
      tls_port_ = free_port();
    } while (tls_port_ == port_);
  }
  std::ofstream(directory_ / "htpasswd") << options_.user << ":{PLAIN}" << options_.password << "\n";
  std::ofstream(directory_ / "nginx.conf") << configuration();
  const auto socket = directory_ / "fcgi.sock";
  backend_ = std::make_unique<ServerProcess>(
      std::vector<std::string>{"/usr/sbin/fcgiwrap", "-f", "-c", std::to_string(options_.backend_workers), "-s",
                               "unix:" + socket.string()},
      git_environment(directory_.path()), directory_ / "fcgiwrap.log",
      [&] { return std::filesystem::exists(socket) && accepts_connections(socket); });
  // nginx writes its pid file after it has bound its ports.
  const auto pid_file = directory_ / "nginx.pid";
  nginx_ = std::make_unique<ServerProcess>(
      std::vector<std::string>{"/usr/sbin/nginx", "-p", directory_.path().string(), "-e",
                               (directory_ / "nginx_error.log").string(), "-c", (directory_ / "nginx.conf").string()},
      git_environment(directory_.path()), directory_ / "nginx.log",
      [&] { return std::filesystem::exists(pid_file) && std::filesystem::file_size(pid_file) > 0; });
}

std::string GitHttpServer::configuration() const {
  const std::string at = directory_.path().string();
  const std::string tls = options_.tls
                              ? fmt::format(
                                    "listen 127.0.0.1:{} ssl http2; ssl_certificate {}/server.pem; ssl_certificate_key "
                                    "{}/server.key;",
                                    tls_port_, at, at)
                              : "";
  const std::string backend = fmt::format(kBackend, fmt::arg("at", at), fmt::arg("root", root_.string()));
  return fmt::format(kConfiguration, fmt::arg("user", ::geteuid() == 0 ? "user root;" : ""), fmt::arg("at", at),
                     fmt::arg("port", port_), fmt::arg("tls", tls), fmt::arg("backend", backend),
                     fmt::arg("root", root_.string()));
}

void GitHttpServer::make_certificates() const {
  const std::string at = directory_.path().string();
  const std::vector<std::string> key = {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"};
  auto openssl = [&](std::vector<std::string> arguments, bool with_key) {
    arguments.insert(arguments.begin(), "openssl");
    if (with_key) arguments.insert(arguments.end(), key.begin(), key.end());
    run(arguments, current_environment(), at);
  };
  openssl({"req", "-x509", "-days", "30", "-subj", "/CN=artifactfs test CA", "-keyout", "ca.key", "-out", "ca.pem"},
          true);
  openssl({"req", "-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr"}, true);
  std::ofstream(directory_ / "server.ext") << "subjectAltName=IP:127.0.0.1,DNS:localhost\n";
  openssl({"x509", "-req", "-days", "30", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
           "-extfile", "server.ext", "-out", "server.pem"},
          false);
}

std::string GitHttpServer::url(std::string_view path) const {
  return fmt::format("http://127.0.0.1:{}/{}", port_, path);
}

std::string GitHttpServer::tls_url(std::string_view path) const {
  return fmt::format("https://127.0.0.1:{}/{}", tls_port_, path);
}

std::vector<AccessLogEntry> GitHttpServer::access_log() const {
  std::vector<AccessLogEntry> entries;
  std::istringstream lines(read_file(directory_ / "access.log").value_or(""));
  for (std::string line; std::getline(lines, line);) entries.push_back(parse_entry(line));
  return entries;
}

std::vector<AccessLogEntry> GitHttpServer::wait_for_requests(size_t count) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  for (;;) {
    auto entries = access_log();
    if (entries.size() >= count) return entries;
    if (std::chrono::steady_clock::now() > deadline) {
      throw std::runtime_error(fmt::format("{} requests in the access log, {} expected", entries.size(), count));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void GitHttpServer::clear_access_log() const { std::filesystem::resize_file(directory_ / "access.log", 0); }

std::string GitHttpServer::error_log() const {
  return read_file(directory_ / "nginx_error.log").value_or("") + nginx_->log() + backend_->log();
}

}  // namespace artifactfs::test
