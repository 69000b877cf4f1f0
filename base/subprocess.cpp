#include "base/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

extern char** environ;

namespace artifactfs {

namespace {

constexpr size_t kMaxOutputBytes = size_t{64} << 20;

// How to reach a server and prove who we are; everything else in GIT_* describes some other repository.
constexpr std::array<std::string_view, 9> kKeptGitPrefixes = {"GIT_SSH",
                                                              "GIT_ASKPASS",
                                                              "GIT_SSL_",
                                                              "GIT_PROXY_",
                                                              "GIT_CONFIG_GLOBAL=",
                                                              "GIT_CONFIG_SYSTEM=",
                                                              "GIT_CONFIG_NOSYSTEM=",
                                                              "GIT_TERMINAL_PROMPT=",
                                                              "GIT_CONFIG_"};

struct PipePair {
  UniqueFd read_end, write_end;
  static Result<PipePair> make() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) return fail_errno(errno, "cannot make a pipe");
    return PipePair{UniqueFd(fds[0]), UniqueFd(fds[1])};
  }
};

std::string find_program(const std::string& name, const Environment& environment) {
  if (name.find('/') != std::string::npos) return name;
  const std::string path = environment_value(environment, "PATH").value_or("/usr/local/bin:/usr/bin:/bin");
  size_t begin = 0;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find(':', begin), path.size());
    std::string candidate = path.substr(begin, end - begin) + "/" + name;
    if (end > begin && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  return name;
}

std::vector<char*> c_strings(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const auto& s : strings) out.push_back(const_cast<char*>(s.c_str()));
  out.push_back(nullptr);
  return out;
}

// Runs in the forked child: async-signal-safe calls only. Reports errno through `report_fd` when exec fails.
[[noreturn]] void run_child(const char* program, char* const* argv, char* const* envp, const char* directory,
                            const UserIds* user, const std::array<int, 3>& stdio, int report_fd) {
  ::setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  for (int signum = 1; signum < NSIG; ++signum) ::signal(signum, SIG_DFL);
  int error = 0;
  // First move every source above 2, so that dup2 onto 0..2 cannot overwrite one.
  std::array<int, 3> sources = stdio;
  for (int& fd : sources) fd = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  const int report = ::fcntl(report_fd, F_DUPFD_CLOEXEC, 3);
  for (int i = 0; i < 3; ++i) ::dup2(sources[static_cast<size_t>(i)], i);
  // Raw system calls: glibc's wrappers would try to signal threads that do not exist in this child.
  if (user != nullptr &&
      (::syscall(SYS_setgroups, 0, nullptr) != 0 || ::syscall(SYS_setresgid, user->gid, user->gid, user->gid) != 0 ||
       ::syscall(SYS_setresuid, user->uid, user->uid, user->uid) != 0)) {
    error = errno;
  } else if (::chdir(directory) != 0) {
    error = errno;
  } else {
    ::execve(program, argv, envp);
    error = errno;
  }
  [[maybe_unused]] const ssize_t ignored = ::write(report, &error, sizeof error);
  ::_exit(127);
}

int shell_status(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

}  // namespace

Environment current_environment() {
  Environment out;
  for (char** entry = environ; *entry != nullptr; ++entry) out.emplace_back(*entry);
  return out;
}

Environment without_git_variables(const Environment& environment) {
  Environment out;
  for (const auto& entry : environment) {
    const bool kept = !entry.starts_with("GIT_") || std::ranges::any_of(kKeptGitPrefixes, [&](std::string_view prefix) {
      return entry.starts_with(prefix);
    });
    if (kept && !entry.starts_with("GIT_CONFIG=") && !entry.starts_with("GIT_CONFIG_PARAMETERS=")) out.push_back(entry);
  }
  return out;
}

std::optional<std::string> environment_value(const Environment& environment, std::string_view name) {
  for (const auto& entry : environment) {
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') {
      return entry.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

void set_environment_value(Environment& environment, std::string_view name, std::string_view value) {
  const std::string prefix = std::string(name) + "=";
  std::erase_if(environment, [&](const std::string& entry) { return entry.starts_with(prefix); });
  environment.push_back(prefix + std::string(value));
}

Result<Subprocess> Subprocess::start(const SubprocessOptions& options) {
  const std::string sentence = "cannot run '" + options.argv.at(0) + "'";
  Subprocess child;
  TRY_ASSIGN(UniqueFd null_fd, open_file("/dev/null", O_RDWR));
  std::array<int, 3> stdio = {null_fd.get(), null_fd.get(), null_fd.get()};
  PipePair in, out, err;
  if (options.pipe_stdin) {
    TRY_ASSIGN(in, PipePair::make());
    stdio[0] = in.read_end.get();
  }
  if (options.pipe_stdout) {
    TRY_ASSIGN(out, PipePair::make());
    stdio[1] = out.write_end.get();
  }
  if (options.pipe_stderr) {
    TRY_ASSIGN(err, PipePair::make());
    stdio[2] = err.write_end.get();
  }
  TRY_ASSIGN(PipePair report, PipePair::make());
  const std::string program = find_program(options.argv[0], options.environment);
  const auto argv = c_strings(options.argv);
  const auto envp = c_strings(options.environment);
  const UserIds* user = options.user && ::geteuid() == 0 && options.user->uid != 0 ? &*options.user : nullptr;

  // A signal handler of ours must not run in the child between fork and exec.
  sigset_t all, previous;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &previous);
  const pid_t pid = ::fork();
  if (pid == 0) {
    run_child(program.c_str(), argv.data(), envp.data(), options.working_directory.c_str(), user, stdio,
              report.write_end.get());
  }
  const int fork_errno = errno;
  ::pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  if (pid < 0) return fail_errno(fork_errno, sentence);
  ::setpgid(pid, pid);
  child.pid_ = pid;
  report.write_end.reset();
  int exec_errno = 0;
  ssize_t n;
  do {
    n = ::read(report.read_end.get(), &exec_errno, sizeof exec_errno);
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(sizeof exec_errno)) {
    ::waitpid(pid, nullptr, 0);
    child.pid_ = -1;
    return fail_errno(exec_errno, sentence);
  }
  child.stdin_ = std::move(in.write_end);
  child.stdout_ = std::move(out.read_end);
  child.stderr_ = std::move(err.read_end);
  return child;
}

Subprocess::Subprocess(Subprocess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      stdin_(std::move(other.stdin_)),
      stdout_(std::move(other.stdout_)),
      stderr_(std::move(other.stderr_)) {}

Subprocess& Subprocess::operator=(Subprocess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(stdin_, other.stdin_);
  std::swap(stdout_, other.stdout_);
  std::swap(stderr_, other.stderr_);
  return *this;
}

Subprocess::~Subprocess() {
  if (pid_ <= 0) return;
  stdin_.reset();
  stdout_.reset();
  stderr_.reset();
  terminate();
  for (int i = 0; i < 100; ++i) {
    const pid_t done = ::waitpid(pid_, nullptr, WNOHANG);
    if (done != 0) return;
    ::usleep(10'000);
  }
  ::kill(-pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Subprocess::terminate() const {
  if (pid_ > 0) ::kill(-pid_, SIGTERM);
}

Result<int> Subprocess::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) return fail_errno(errno, "cannot wait for a child process");
  }
  pid_ = -1;
  return shell_status(status);
}

namespace {

Result<void> read_into(UniqueFd* fd, std::string& output) {
  char buffer[16384];
  const ssize_t n = ::read(fd->get(), buffer, sizeof buffer);
  if (n < 0 && errno != EINTR) return fail_errno(errno, "cannot read a child's output");
  if (n == 0) fd->reset();
  if (n > 0) output.append(buffer, static_cast<size_t>(n));
  if (output.size() > kMaxOutputBytes)
    return fail(ErrorCode::out_of_range, "cannot read a child's output", "too large");
  return {};
}

}  // namespace

Result<SubprocessOutput> run_subprocess(SubprocessOptions options, std::string_view input, Deadline deadline) {
  const std::string sentence = "cannot run '" + options.argv.at(0) + "'";
  options.pipe_stdin = !input.empty();
  options.pipe_stdout = options.pipe_stderr = true;
  TRY_ASSIGN(Subprocess child, Subprocess::start(options));
  SubprocessOutput output;
  UniqueFd in(child.stdin_fd() >= 0 ? ::fcntl(child.stdin_fd(), F_DUPFD_CLOEXEC, 3) : -1);
  child.close_stdin();
  UniqueFd out(::fcntl(child.stdout_fd(), F_DUPFD_CLOEXEC, 3));
  UniqueFd err(::fcntl(child.stderr_fd(), F_DUPFD_CLOEXEC, 3));
  if (in) ::fcntl(in.get(), F_SETFL, O_NONBLOCK);
  while (in || out || err) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::system().now()).count();
    if (left <= 0) return fail(ErrorCode::timeout, sentence, "it did not end in time");
    std::array<pollfd, 3> fds = {pollfd{in.get(), POLLOUT, 0}, pollfd{out.get(), POLLIN, 0},
                                 pollfd{err.get(), POLLIN, 0}};
    const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(std::min<int64_t>(left, 60'000)));
    if (ready < 0 && errno != EINTR) return fail_errno(errno, sentence);
    if (ready <= 0) continue;
    if (fds[0].revents != 0) {
      const ssize_t n = ::write(in.get(), input.data(), input.size());
      if (n > 0) input.remove_prefix(static_cast<size_t>(n));
      if ((n < 0 && errno != EAGAIN && errno != EINTR) || input.empty()) in.reset();
    }
    if (fds[1].revents != 0) TRY(read_into(&out, output.out));
    if (fds[2].revents != 0) TRY(read_into(&err, output.err));
  }
  TRY_ASSIGN(output.status, child.wait());
  return output;
}

}  // namespace artifactfs
