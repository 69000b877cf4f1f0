// SshServer: sshd on loopback, as the current user, with keys made for the test; lets the current user in with a key.
#pragma once

#include <memory>
#include <string>

#include "tests/harness/server_process.h"
#include "tests/harness/temporary_directory.h"

namespace artifactfs::test {

class SshServer {
 public:
  /// Throws std::runtime_error when it does not start.
  SshServer();

  uint16_t port() const { return port_; }
  /// The value for GIT_SSH_COMMAND: ssh with our key, our known hosts and no configuration of the user's.
  std::string ssh_command() const;
  /// ssh://user@127.0.0.1:port/path of a repository on this machine.
  std::string url(const std::filesystem::path& repository) const;
  std::string user() const { return user_; }
  std::string log() const { return process_->log(); }

 private:
  TemporaryDirectory directory_;
  uint16_t port_ = 0;
  std::string user_;
  std::unique_ptr<ServerProcess> process_;
};

}  // namespace artifactfs::test
