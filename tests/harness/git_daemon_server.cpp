#include "tests/harness/git_daemon_server.h"

#include <fmt/format.h>

#include "tests/harness/git_repository.h"

namespace artifactfs::test {

GitDaemonServer::GitDaemonServer(const std::filesystem::path& root) : port_(free_port()) {
  const auto pid_file = directory_ / "pid";
  // The pid file is written after the port has been bound.
  process_ = std::make_unique<ServerProcess>(
      std::vector<std::string>{"/usr/lib/git-core/git-daemon", "--verbose", "--reuseaddr", "--export-all",
                               "--informative-errors", "--listen=127.0.0.1", fmt::format("--port={}", port_),
                               "--base-path=" + root.string(), "--pid-file=" + pid_file.string(), root.string()},
      git_environment(directory_.path()), directory_ / "log",
      [&] { return std::filesystem::exists(pid_file) && accepts_connections(port_); });
}

std::string GitDaemonServer::url(std::string_view repository) const {
  return fmt::format("git://127.0.0.1:{}/{}", port_, repository);
}

}  // namespace artifactfs::test
