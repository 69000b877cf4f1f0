// StateDirectory: where the daemon keeps everything (DESIGN.md section 4), held by one daemon at a time.
//
//   <root>/lock            flock'ed by the daemon that uses the directory; holds its pid
//   <root>/control.sock    the control API
//   <root>/daemon.log      standard error of a daemon that `mount` started (one older file: daemon.log.1)
//   <root>/stores/<remote-id>/, <root>/mounts/<mount-id>/
//
// Immutable after open(); thread-safe.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace artifactfs {

class StateDirectory {
 public:
  static constexpr uint64_t kMaxLogBytes = uint64_t{10} << 20;

  /// Creates what is missing and takes the lock. ErrorCode::busy when another process holds it, with its pid.
  static Result<StateDirectory> open(const std::filesystem::path& root);

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path stores() const { return root_ / "stores"; }
  std::filesystem::path mounts() const { return root_ / "mounts"; }

  /// Makes daemon.log this process's standard output and error, moving one that has grown beyond kMaxLogBytes aside.
  Result<void> redirect_output_to_log() const;

 private:
  StateDirectory(std::filesystem::path root, UniqueFd lock) : root_(std::move(root)), lock_(std::move(lock)) {}
  std::filesystem::path root_;
  UniqueFd lock_;
};

}  // namespace artifactfs
