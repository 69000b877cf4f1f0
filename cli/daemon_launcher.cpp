#include "cli/daemon_launcher.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/clock.h"
#include "daemon/control_protocol.h"

namespace artifactfs::cli {

namespace {

namespace fs = std::filesystem;

constexpr int kReadyFd = 3;
constexpr size_t kMaxReadyBytes = 4096;
constexpr auto kRetryInterval = std::chrono::milliseconds(20);

std::vector<char*> argument_pointers(std::vector<std::string>& arguments) {
  std::vector<char*> out;
  out.reserve(arguments.size() + 1);
  for (auto& argument : arguments) out.push_back(argument.data());
  out.push_back(nullptr);
  return out;
}

// In the second child of the double fork: nobody's job, no terminal, nothing inherited but the descriptor to report on.
[[noreturn]] void become_background_daemon(const char* program, char* const* argv, int report_fd, int null_fd) {
  for (int fd = 0; fd < kReadyFd; ++fd) ::dup2(null_fd, fd);
  if (report_fd != kReadyFd) {
    ::dup2(report_fd, kReadyFd);
  } else {
    ::fcntl(report_fd, F_SETFD, 0);
  }
  ::close_range(kReadyFd + 1, ~0U, 0);
  ::execv(program, argv);
  constexpr std::string_view message = "cannot run artifactfs-daemon\n";
  [[maybe_unused]] const ssize_t ignored = ::write(kReadyFd, message.data(), message.size());
  ::_exit(1);
}

/// Starts a daemon and returns the line it reports: "ready", "busy" (another has the state directory) or an error.
Result<std::string> start_daemon(std::vector<std::string> arguments) {
  TRY_ASSIGN(const fs::path program, daemon_program());
  arguments.insert(arguments.begin(), program.string());
  arguments.insert(arguments.end(), {"--ready-fd", std::to_string(kReadyFd)});
  auto argv = argument_pointers(arguments);
  TRY_ASSIGN(const UniqueFd null_fd, open_file("/dev/null", O_RDWR));
  std::array<int, 2> pipe_fds{};
  if (::pipe2(pipe_fds.data(), O_CLOEXEC) != 0) return fail_errno(errno, "cannot start the daemon");
  const UniqueFd read_end(pipe_fds[0]);
  UniqueFd write_end(pipe_fds[1]);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, "cannot start the daemon");
  if (child == 0) {
    ::setsid();
    if (::fork() == 0) become_background_daemon(program.c_str(), argv.data(), write_end.get(), null_fd.get());
    ::_exit(0);
  }
  write_end.reset();
  ::waitpid(child, nullptr, 0);
  std::string line;
  char buffer[512];
  ssize_t n;
  while (line.size() < kMaxReadyBytes &&
         ((n = ::read(read_end.get(), buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR))) {
    if (n > 0) line.append(buffer, static_cast<size_t>(n));
  }
  return line.substr(0, line.find('\n'));
}

}  // namespace

Result<fs::path> daemon_program() {
  std::error_code error;
  const fs::path here = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& candidate :
       {here / "artifactfs-daemon", here.parent_path() / "libexec/artifactfs/artifactfs-daemon"}) {
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return fail(ErrorCode::not_found, "cannot start the daemon",
              "artifactfs-daemon is neither in '" + here.string() + "' nor in '" +
                  (here.parent_path() / "libexec/artifactfs").string() + "'");
}

Error exec_daemon(const std::vector<std::string>& arguments) {
  const auto program = daemon_program();
  if (!program) return program.error();
  std::vector<std::string> all = arguments;
  all.insert(all.begin(), program->string());
  ::execv(program->c_str(), argument_pointers(all).data());
  return errno_error(errno, "cannot run '" + program->string() + "'");
}

Result<UniqueFd> connect_or_start_daemon(const fs::path& state_root, const std::vector<std::string>& arguments) {
  const auto deadline = Clock::system().now() + std::chrono::seconds(kStartTimeoutSeconds);
  for (;;) {
    auto connection = control::connect_to_daemon(state_root);
    if (connection || connection.error().code != ErrorCode::not_found) return connection;
    TRY_ASSIGN(const std::string line, start_daemon(arguments));
    if (line == "ready") continue;
    if (line != "busy") {
      if (line.starts_with("cannot ")) return fail(ErrorCode::io, line);
      return fail(ErrorCode::io, "cannot start the daemon", line.empty() ? "it ended at once" : line);
    }
    // Another one is starting, or ending.
    if (Clock::system().now() >= deadline) {
      return fail(ErrorCode::timeout, "cannot reach the daemon of '" + state_root.string() + "'",
                  "it holds the state directory but does not answer");
    }
    std::this_thread::sleep_for(kRetryInterval);
  }
}

Result<UniqueFd> connect_or_start_brief_daemon(const fs::path& state_root) {
  return connect_or_start_daemon(state_root,
                                 {"--state-dir", state_root.string(), "--idle-exit", "0s", "--no-recovery"});
}

}  // namespace artifactfs::cli
