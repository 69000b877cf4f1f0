// LockFile: git's lock protocol on one file. <path>.lock is created exclusively, written, and renamed over <path>, so
// git processes of the user may run at the same time. Move-only; destroyed without commit() it removes the lock and
// leaves <path> alone. Not thread-safe.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/subprocess.h"
#include "base/unique_fd.h"

namespace artifactfs {

/// Gives `path` to `owner` when this process is root and the owner is not.
Result<void> give_to(const std::filesystem::path& path, const UserIds& owner);

class LockFile {
 public:
  /// How often, 50 ms apart, a lock that a git process of the user holds is tried.
  static constexpr int kAttempts = 100;

  /// ErrorCode::already_exists when the lock stayed taken for `attempts` tries.
  static Result<LockFile> acquire(const std::filesystem::path& path, int attempts = kAttempts);
  /// Writes need no lock until the end: append() to a file beside `path`, which lock() makes the lock, content and all.
  /// For what takes so long to write that git commands of the user would meet the lock and fail. Only one at a time may
  /// be prepared for a path; one that a crash left behind is overwritten.
  static Result<LockFile> prepare(const std::filesystem::path& path);
  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&&) = delete;
  ~LockFile();

  Result<void> append(std::span<const std::byte> bytes);
  /// After prepare(): takes the lock. ErrorCode::already_exists when somebody else holds it.
  Result<void> lock();
  /// Renames over the path. `durable`: fsyncs first, for what cannot be made again.
  Result<void> commit(const UserIds& owner, bool durable);
  /// append() and a durable commit().
  Result<void> commit(std::string_view content, const UserIds& owner);

 private:
  LockFile(std::filesystem::path path, std::string lock, UniqueFd fd);
  std::filesystem::path path_;
  std::string lock_;  // the file that is written: <path>.lock, or the prepared one until lock()
  UniqueFd fd_;
};

}  // namespace artifactfs
