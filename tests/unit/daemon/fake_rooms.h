// Store, Workdir and FuseSession that touch neither network nor kernel, fail on command and log what was asked of them.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "daemon/rooms.h"

namespace artifactfs::test {

/// Shared by the fakes of one test. Thread-safe.
class FakeWorld {
 public:
  /// The next call of that step fails: "open_store", "prepare", "open_workdir", "mount_session".
  void fail_next(const std::string& step, ErrorCode code = ErrorCode::unavailable) EXCLUDES(mutex_);
  /// prepare() waits until cancelled or until let go.
  std::atomic<bool> hold_prepare = false;
  std::atomic<bool> holding = false;
  std::atomic<bool> busy = false;         // unmount without `lazy` is refused
  std::atomic<bool> knows_commit = true;  // local_snapshot()
  std::atomic<int> sessions = 0;          // alive
  std::atomic<int> stores = 0;            // open
  std::atomic<int> stores_opened = 0;
  std::atomic<int> workdirs = 0;
  std::atomic<int> prepares = 0;

  void set_unsaved(std::vector<std::string> work) EXCLUDES(mutex_);
  std::vector<std::string> unsaved() const EXCLUDES(mutex_);
  /// As if somebody ran umount on `directory`.
  void end_session(const std::string& directory) EXCLUDES(mutex_);

  Rooms rooms();

  // For the fakes.
  Result<void> step(const std::string& name) EXCLUDES(mutex_);
  void set_session(const std::string& directory, std::function<void()> on_end) EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  std::map<std::string, ErrorCode> failures_ GUARDED_BY(mutex_);
  std::vector<std::string> unsaved_ GUARDED_BY(mutex_);
  std::map<std::string, std::function<void()>> on_end_ GUARDED_BY(mutex_);
};

/// What every fake store's HEAD is.
ObjectId fake_commit();

}  // namespace artifactfs::test
