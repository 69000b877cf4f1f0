// Subprocess: a child process with pipes, ended when its owner goes away.
//
// Children get exactly the environment and working directory named here (never one inside a mount), all other
// descriptors closed, default signal dispositions, and a process group of their own so that ending one ends what it
// started. When the daemon is root and `user` is given, the child runs as that user.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace artifactfs {

/// The environment of a child, "NAME=value" each.
using Environment = std::vector<std::string>;

/// The calling process's environment.
Environment current_environment();
/// `environment` without any GIT_* variable but those that name how to reach and authenticate to a server (GIT_SSH,
/// GIT_SSH_COMMAND, GIT_SSH_VARIANT, GIT_ASKPASS, GIT_SSL_*, GIT_PROXY_*, GIT_CONFIG_GLOBAL/SYSTEM/NOSYSTEM,
/// GIT_TERMINAL_PROMPT, GIT_CONFIG_COUNT/KEY_*/VALUE_*).
Environment without_git_variables(const Environment& environment);
/// The value of `name`, if set.
std::optional<std::string> environment_value(const Environment& environment, std::string_view name);
/// Sets or replaces a variable.
void set_environment_value(Environment& environment, std::string_view name, std::string_view value);

struct UserIds {
  uid_t uid = 0;
  gid_t gid = 0;
  friend bool operator==(const UserIds&, const UserIds&) = default;
};

struct SubprocessOptions {
  std::vector<std::string> argv;  // argv[0] is looked up in the child's PATH unless it has a slash
  Environment environment;
  std::string working_directory = "/";
  std::optional<UserIds> user;  // ignored unless this process is root
  bool pipe_stdin = false;      // else /dev/null
  bool pipe_stdout = false;     // else /dev/null
  bool pipe_stderr = false;     // else /dev/null
};

/// Move-only. Not thread-safe, except terminate().
class Subprocess {
 public:
  static Result<Subprocess> start(const SubprocessOptions& options);
  Subprocess(Subprocess&& other) noexcept;
  Subprocess& operator=(Subprocess&& other) noexcept;
  /// Ends the child's process group (SIGTERM, then SIGKILL after 1 s) and reaps it.
  ~Subprocess();

  int stdin_fd() const { return stdin_.get(); }
  int stdout_fd() const { return stdout_.get(); }
  int stderr_fd() const { return stderr_.get(); }
  void close_stdin() { stdin_.reset(); }
  pid_t pid() const { return pid_; }

  /// Sends SIGTERM to the process group; may be called from any thread while the object lives.
  void terminate() const;
  /// Waits for the end; the exit status as a shell reports it (128 + signal for a killed child).
  Result<int> wait();

 private:
  Subprocess() = default;
  pid_t pid_ = -1;
  UniqueFd stdin_, stdout_, stderr_;
};

struct SubprocessOutput {
  int status = 0;  // as a shell reports it
  std::string out;
  std::string err;
};

/// Runs a child to its end, feeding `input` and collecting both outputs (each at most 64 MiB). Fails with
/// ErrorCode::timeout, the child ended, when `deadline` passes.
Result<SubprocessOutput> run_subprocess(SubprocessOptions options, std::string_view input, Deadline deadline);

}  // namespace artifactfs
