// Remotes of every scheme over one directory of repositories, and raw protocol v2 commands to send to them.
#pragma once

#include <memory>
#include <string>

#include "fetch/transport.h"
#include "tests/harness/delay_proxy.h"
#include "tests/harness/git_daemon_server.h"
#include "tests/harness/git_http_server.h"
#include "tests/harness/git_repository.h"
#include "tests/harness/ssh_server.h"
#include "tests/harness/temporary_directory.h"

namespace artifactfs::test {

enum class RemoteKind { http, https, ssh, local, file, git };
std::string to_string(RemoteKind kind);

/// "small.git" (two commits) and "big.git" (one file of kBigBytes that does not compress; make_big()), served over one
/// scheme, with a DelayProxy before the server where there is one (not for local and file).
class Remotes {
 public:
  static constexpr uint64_t kBigBytes = uint64_t{40} << 20;

  explicit Remotes(RemoteKind kind);
  /// Makes big.git; its head.
  std::string make_big();
  std::string url(const std::string& repository) const;
  std::unique_ptr<Transport> transport(const std::string& repository) const;
  DelayProxy* proxy() const { return proxy_.get(); }
  const TransportContext& context() const { return context_; }
  const std::string& small_head() const { return small_head_; }

 private:
  RemoteKind kind_;
  TemporaryDirectory directory_;
  std::unique_ptr<GitHttpServer> http_;
  std::unique_ptr<SshServer> ssh_;
  std::unique_ptr<GitDaemonServer> daemon_;
  std::unique_ptr<DelayProxy> proxy_;
  TransportContext context_;
  std::string small_head_;
};

/// The environment and directory that tests give a transport; `extra`: "NAME=value" each.
TransportContext test_context(const std::vector<std::string>& extra = {});
/// Adds one value to git's configuration by GIT_CONFIG_COUNT.
void add_config(TransportContext& context, const std::string& key, const std::string& value);

std::string ls_refs_command();
std::string fetch_command(const std::string& commit);

/// Reads to the end, or the error's text after "error: ".
std::string read_all(Response& response);
/// The code of the first failure of call or reads; ErrorCode::internal when there is none. `text` gets the words.
ErrorCode failure_of(Result<std::unique_ptr<Response>> response, std::string* text = nullptr);

}  // namespace artifactfs::test
