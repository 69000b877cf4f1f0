// ServerProcess: a server run in the foreground for the length of a test, its output kept in a file, ended and reaped
// by the destructor. The kernel ends it too (SIGTERM, through setpriv --pdeathsig) when the thread that started it
// ends, so that a test killed by its timeout leaves nothing behind: start servers from the test's main thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/subprocess.h"

namespace artifactfs::test {

/// A TCP port on 127.0.0.1 that was free a moment ago.
uint16_t free_port();

/// True when something accepts connections on 127.0.0.1:port.
bool accepts_connections(uint16_t port);

/// True when the unix socket accepts connections.
bool accepts_connections(const std::filesystem::path& unix_socket);

class ServerProcess {
 public:
  /// Starts `argv`, both outputs appended to `log_file`, and returns when `is_ready` says so. Throws
  /// std::runtime_error with the log's end when the process exits first or is not ready within 20 s.
  ServerProcess(std::vector<std::string> argv, const Environment& environment, std::filesystem::path log_file,
                const std::function<bool()>& is_ready);

  pid_t pid() const { return child_->pid(); }
  std::string log() const;

 private:
  std::filesystem::path log_file_;
  std::optional<Subprocess> child_;
};

}  // namespace artifactfs::test
