// GitDaemonServer: `git daemon` on loopback, serving a directory of bare repositories as git://127.0.0.1:<port>/<name>.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tests/harness/server_process.h"
#include "tests/harness/temporary_directory.h"

namespace artifactfs::test {

class GitDaemonServer {
 public:
  /// Throws std::runtime_error when it does not start.
  explicit GitDaemonServer(const std::filesystem::path& root);

  uint16_t port() const { return port_; }
  std::string url(std::string_view repository) const;
  std::string log() const { return process_->log(); }

 private:
  TemporaryDirectory directory_;
  uint16_t port_ = 0;
  std::unique_ptr<ServerProcess> process_;
};

}  // namespace artifactfs::test
