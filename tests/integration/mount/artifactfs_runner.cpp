#include "tests/integration/mount/artifactfs_runner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "daemon/control_protocol.h"
#include "daemon/mount_info.h"
#include "tests/harness/command.h"
#include "tests/harness/git_repository.h"

namespace artifactfs::test {

namespace {

namespace fs = std::filesystem;

constexpr auto kProgramTimeout = std::chrono::minutes(2);
constexpr auto kEventually = std::chrono::minutes(1);
constexpr int kDaemonEndMilliseconds = 30'000;

std::string joined(const std::vector<std::string>& words) {
  std::string line;
  for (const auto& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

bool wait_for_end(int pid_fd) {
  pollfd ended{pid_fd, POLLIN, 0};
  return ::poll(&ended, 1, kDaemonEndMilliseconds) == 1;
}

void detach(const std::string& mount_point) {
  if (::geteuid() == 0) {
    ::umount2(mount_point.c_str(), MNT_DETACH);
    return;
  }
  SubprocessOptions options;
  options.argv = {"fusermount3", "-u", "-z", "--", mount_point};
  options.environment = current_environment();
  (void)run_subprocess(std::move(options), "", Clock::system().now() + std::chrono::seconds(10));
}

}  // namespace

ArtifactfsRunner::ArtifactfsRunner() : environment_(git_environment(directory_ / "home")) {
  fs::create_directories(home());
}

ArtifactfsRunner::~ArtifactfsRunner() {
  try {
    end_daemon(SIGTERM);
    for (const auto& mount_point : mounted()) {
      std::fprintf(stderr, "left mounted by the daemon: %s\n", mount_point.c_str());
      detach(mount_point);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cannot clean up: %s\n", error.what());
  }
}

void ArtifactfsRunner::start_daemon() {
  daemon_ = std::make_unique<ServerProcess>(
      std::vector<std::string>{ARTIFACTFS_PROGRAM, "daemon", "--state-dir", state().string()}, environment_,
      directory_ / "foreground.log", [this] { return control::connect_to_daemon(state()).has_value(); });
}

pid_t ArtifactfsRunner::daemon_pid() const {
  const auto output = run({"status", "--json"});
  if (output.status != 0) return 0;
  const auto report = nlohmann::json::parse(output.out);
  return report["daemon"].is_object() ? report["daemon"]["pid"].get<pid_t>() : 0;
}

void ArtifactfsRunner::end_daemon(int signal) {
  const pid_t pid = daemon_ != nullptr ? daemon_->pid() : daemon_pid();
  if (pid > 0) {
    const UniqueFd daemon(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (daemon) {
      ::syscall(SYS_pidfd_send_signal, daemon.get(), signal, nullptr, 0);
      if (!wait_for_end(daemon.get())) {
        ::syscall(SYS_pidfd_send_signal, daemon.get(), SIGKILL, nullptr, 0);
        throw std::runtime_error("the daemon does not end; its log:\n" + log());
      }
    }
  }
  daemon_.reset();
}

void ArtifactfsRunner::stop_daemon() { end_daemon(SIGTERM); }
void ArtifactfsRunner::kill_daemon() { end_daemon(SIGKILL); }

SubprocessOutput ArtifactfsRunner::run(std::vector<std::string> arguments) const {
  SubprocessOptions options;
  options.argv = {ARTIFACTFS_PROGRAM};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.argv.insert(options.argv.end(), {"--state-dir", state().string()});
  options.environment = environment_;
  options.working_directory = directory_.path().string();
  const std::string line = joined(options.argv);
  auto output = run_subprocess(std::move(options), "", Clock::system().now() + kProgramTimeout);
  if (!output) throw std::runtime_error(line + ": " + output.error().text() + "\n" + log());
  return std::move(*output);
}

std::string ArtifactfsRunner::must_run(const std::vector<std::string>& arguments) const {
  auto output = run(arguments);
  if (output.status != 0) {
    throw std::runtime_error("artifactfs " + joined(arguments) + ": exit status " + std::to_string(output.status) +
                             ": " + output.err + "\n" + log());
  }
  return std::move(output.out);
}

fs::path ArtifactfsRunner::mount(const std::string& remote, const std::string& name,
                                 const std::vector<std::string>& arguments) const {
  const fs::path directory = directory_ / name;
  fs::create_directories(directory);
  std::vector<std::string> words = {"mount", remote, directory.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  must_run(words);
  return directory;
}

void ArtifactfsRunner::unmount(const fs::path& directory) const { must_run({"unmount", directory.string()}); }

nlohmann::json ArtifactfsRunner::status(const fs::path& directory) const {
  return nlohmann::json::parse(must_run({"status", directory.string(), "--json"}));
}

void ArtifactfsRunner::wait_for_status(const fs::path& directory,
                                       const std::function<bool(const nlohmann::json&)>& condition) const {
  nlohmann::json last;
  if (eventually([&] { return condition(last = status(directory)); })) return;
  throw std::runtime_error("the mount does not get there: " + last.dump(2) + "\n" + log());
}

void ArtifactfsRunner::wait_for_ref(const fs::path& directory, const std::string& ref) const {
  const fs::path gitdir = status(directory)["git_dir"].get<std::string>();
  if (eventually(
          [&] { return read_file(gitdir / "packed-refs").value_or("").find(ref + "\n") != std::string::npos; })) {
    return;
  }
  throw std::runtime_error("the mount never gets the ref " + ref + "\n" + log());
}

std::string ArtifactfsRunner::log() const {
  return (daemon_ != nullptr ? daemon_->log() : "") + read_file(state() / "daemon.log").value_or("");
}

std::vector<std::string> ArtifactfsRunner::mounted() const {
  std::vector<std::string> found;
  const auto mounts = read_mount_info();
  if (!mounts) throw std::runtime_error(mounts.error().text());
  for (const auto& mount : *mounts) {
    if (is_within(mount.mount_point, directory_.path().string())) found.push_back(mount.mount_point);
  }
  return found;
}

std::vector<std::string> ArtifactfsRunner::state_entries(const std::string& part) const {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(state() / part, error)) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kEventually;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

std::string git_in(const fs::path& directory, const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {"git", "-C", directory.string()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  std::string text = test::run(argv, git_environment());
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::string content_of(const fs::path& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw std::system_error(errno, std::generic_category(), file.string());
  std::string content;
  std::array<char, size_t{256} << 10> buffer;
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0) throw std::system_error(errno, std::generic_category(), file.string());
    if (n == 0) return content;
    content.append(buffer.data(), static_cast<size_t>(n));
  }
}

int read_error(const fs::path& file) {
  try {
    (void)content_of(file);
  } catch (const std::system_error& error) {
    return error.code().value();
  }
  return 0;
}

}  // namespace artifactfs::test
