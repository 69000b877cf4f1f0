#include "tests/integration/fetch_transport/remotes.h"

#include <fmt/format.h>

#include <array>
#include <stdexcept>

namespace artifactfs::test {

namespace {
std::string pkt(std::string_view payload) { return fmt::format("{:04x}{}", payload.size() + 4, payload); }
}  // namespace

std::string to_string(RemoteKind kind) {
  constexpr std::array names = {"http", "https", "ssh", "local", "file", "git"};
  return names.at(static_cast<size_t>(kind));
}

TransportContext test_context(const std::vector<std::string>& extra) {
  TransportContext context;
  context.environment = without_git_variables(git_environment());
  for (const auto& entry : extra) {
    const size_t equals = entry.find('=');
    set_environment_value(context.environment, entry.substr(0, equals), entry.substr(equals + 1));
  }
  return context;
}

void add_config(TransportContext& context, const std::string& key, const std::string& value) {
  const int count = std::stoi(environment_value(context.environment, "GIT_CONFIG_COUNT").value_or("0"));
  set_environment_value(context.environment, fmt::format("GIT_CONFIG_KEY_{}", count), key);
  set_environment_value(context.environment, fmt::format("GIT_CONFIG_VALUE_{}", count), value);
  set_environment_value(context.environment, "GIT_CONFIG_COUNT", std::to_string(count + 1));
}

Remotes::Remotes(RemoteKind kind) : kind_(kind), context_(test_context()) {
  GitRepository small(directory_ / "source");
  small.write_file("README", "hello\n");
  small.commit("first");
  small.write_file("README", "hello again\n");
  small_head_ = small.commit("second");
  const auto served = directory_ / "served";
  small.bare_clone(served / "small.git");
  uint16_t port = 0;
  if (kind == RemoteKind::http || kind == RemoteKind::https) {
    http_ = std::make_unique<GitHttpServer>(served, HttpServerOptions{.tls = kind == RemoteKind::https});
    port = kind == RemoteKind::https ? http_->tls_port() : http_->port();
    if (kind == RemoteKind::https) add_config(context_, "http.sslCAInfo", http_->ca_file().string());
  } else if (kind == RemoteKind::ssh) {
    ssh_ = std::make_unique<SshServer>();
    port = ssh_->port();
    // The proxy has another port than the one that known_hosts names.
    const std::string alias = fmt::format(" -o HostKeyAlias=[127.0.0.1]:{}", port);
    set_environment_value(context_.environment, "GIT_SSH_COMMAND", ssh_->ssh_command() + alias);
  } else if (kind == RemoteKind::git) {
    daemon_ = std::make_unique<GitDaemonServer>(served);
    port = daemon_->port();
  }
  if (port != 0) proxy_ = std::make_unique<DelayProxy>("127.0.0.1", port);
}

std::string Remotes::make_big() {
  return generate_bare_repository(directory_ / "served/big.git", {.files = 1, .file_bytes = kBigBytes});
}

std::string Remotes::url(const std::string& repository) const {
  const std::string path = (directory_ / "served" / repository).string();
  switch (kind_) {
    case RemoteKind::http:
      return fmt::format("http://127.0.0.1:{}/{}", proxy_->port(), repository);
    case RemoteKind::https:
      return fmt::format("https://127.0.0.1:{}/{}", proxy_->port(), repository);
    case RemoteKind::git:
      return fmt::format("git://127.0.0.1:{}/{}", proxy_->port(), repository);
    case RemoteKind::ssh:
      return fmt::format("ssh://{}@127.0.0.1:{}{}", ssh_->user(), proxy_->port(), path);
    case RemoteKind::local:
      return path;
    case RemoteKind::file:
      return "file://" + path;
  }
  return "";
}

std::unique_ptr<Transport> Remotes::transport(const std::string& repository) const {
  auto remote = RemoteUrl::parse(url(repository));
  if (!remote) throw std::runtime_error(remote.error().text());
  auto transport = make_transport(*remote, context_);
  if (!transport) throw std::runtime_error(transport.error().text());
  return std::move(*transport);
}

std::string ls_refs_command() {
  return pkt("command=ls-refs\n") + pkt("object-format=sha1\n") + "0001" + pkt("peel\n") + pkt("symrefs\n") +
         pkt("ref-prefix HEAD\n") + pkt("ref-prefix refs/heads/\n") + "0000";
}

std::string fetch_command(const std::string& commit) {
  return pkt("command=fetch\n") + pkt("object-format=sha1\n") + "0001" + pkt("no-progress\n") +
         pkt("want " + commit + "\n") + pkt("deepen 1\n") + pkt("done\n") + "0000";
}

std::string read_all(Response& response) {
  std::string out;
  std::array<std::byte, 16384> buffer;
  for (;;) {
    const auto n = response.read(buffer);
    if (!n) return "error: " + n.error().text();
    if (*n == 0) return out;
    out.append(reinterpret_cast<const char*>(buffer.data()), *n);
  }
}

ErrorCode failure_of(Result<std::unique_ptr<Response>> response, std::string* text) {
  std::array<std::byte, 16384> buffer;
  Error error;
  if (!response) error = response.error();
  while (response) {
    const auto n = (*response)->read(buffer);
    if (n && *n > 0) continue;
    if (!n) error = n.error();
    break;
  }
  if (text != nullptr) *text = error.text();
  return error.code;
}

}  // namespace artifactfs::test
