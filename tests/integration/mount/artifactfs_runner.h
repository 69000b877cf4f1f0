// ArtifactfsRunner: the real programs, with a state directory, a home and mount points of their own in a temporary
// directory. Whatever a test did or failed to do, the destructor ends the daemon and detaches what is still mounted.
//
// Functions throw std::runtime_error (with the program's words and the daemon's log) where the test needs success, so
// that a test reads as straight lines. Not thread-safe, but run() and status() may be called from any thread.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/subprocess.h"
#include "tests/harness/server_process.h"
#include "tests/harness/temporary_directory.h"

namespace artifactfs::test {

class ArtifactfsRunner {
 public:
  ArtifactfsRunner();
  ~ArtifactfsRunner();
  ArtifactfsRunner(const ArtifactfsRunner&) = delete;
  ArtifactfsRunner& operator=(const ArtifactfsRunner&) = delete;

  std::filesystem::path operator/(std::string_view name) const { return directory_ / name; }
  std::filesystem::path state() const { return directory_ / "state"; }
  std::filesystem::path home() const { return directory_ / "home"; }
  /// What the programs see; a test may change it before it runs them.
  Environment& environment() { return environment_; }

  /// `artifactfs daemon` in the foreground. Without it the first mount starts one.
  void start_daemon();
  /// SIGTERM (or SIGKILL) to the daemon, and its end.
  void stop_daemon();
  void kill_daemon();
  pid_t daemon_pid() const;

  /// `artifactfs <arguments> --state-dir <state>`.
  SubprocessOutput run(std::vector<std::string> arguments) const;
  /// run() that must exit with 0; its standard output.
  std::string must_run(const std::vector<std::string>& arguments) const;

  /// Mounts on a directory of that name below this runner's, made if need be; returns the directory.
  std::filesystem::path mount(const std::string& remote, const std::string& name = "mnt",
                              const std::vector<std::string>& arguments = {}) const;
  void unmount(const std::filesystem::path& directory) const;

  /// `status <directory> --json`.
  nlohmann::json status(const std::filesystem::path& directory) const;
  /// Waits until `condition` holds for status(directory); throws with the last status otherwise.
  void wait_for_status(const std::filesystem::path& directory,
                       const std::function<bool(const nlohmann::json&)>& condition) const;
  /// Waits until the refs that the mount did not begin with have arrived, i.e. the gitdir has `ref`.
  void wait_for_ref(const std::filesystem::path& directory, const std::string& ref) const;

  /// The daemon's log so far.
  std::string log() const;
  /// Mounts at or below this runner's directory.
  std::vector<std::string> mounted() const;
  /// Names in <state>/<part> ("mounts", "stores"); empty when there is no such directory.
  std::vector<std::string> state_entries(const std::string& part) const;

 private:
  void end_daemon(int signal);

  TemporaryDirectory directory_;
  Environment environment_;
  std::unique_ptr<ServerProcess> daemon_;
};

/// Waits until `condition` holds; false after a minute. For states that nothing announces.
bool eventually(const std::function<bool()>& condition);

/// git in `directory` with no configuration but the repository's; what it prints, without the last newline. Throws when
/// it fails.
std::string git_in(const std::filesystem::path& directory, const std::vector<std::string>& arguments);

/// The whole content of a file, of any size; throws std::system_error with the errno of the call that failed.
std::string content_of(const std::filesystem::path& file);

/// 0, or the errno with which reading the file to its end fails.
int read_error(const std::filesystem::path& file);

}  // namespace artifactfs::test
