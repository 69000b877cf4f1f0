// WorkdirLife: what goes on around a mount's files, whatever Filesystem shows them: its gitdir, its status, the work
// in the background. Thread-safe.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "workdir/workdir.h"

namespace artifactfs {

class WorkdirLife {
 public:
  WorkdirLife(std::shared_ptr<Store> store, const Snapshot& snapshot, const WorkdirOptions& options);
  ~WorkdirLife() { stop_background(); }

  Store& store() const { return *store_; }
  const Snapshot& snapshot() const { return snapshot_; }
  const WorkdirOptions& options() const { return options_; }
  std::filesystem::path git_directory() const { return options_.directory / "git"; }

  /// As the Workdir's; the caller adds what it knows of its files.
  WorkdirStatus status() const;
  Result<std::vector<std::string>> unsaved_work() const;
  void start_background() EXCLUDES(mutex_);
  void stop_background() EXCLUDES(mutex_);
  /// Of the disk that holds the mount's directory.
  Result<FilesystemStats> statfs() const;

 private:
  void add_refs(const std::vector<RefRow>& refs, const std::vector<ObjectId>& shallow);

  // Constant after construction.
  const std::shared_ptr<Store> store_;
  const Snapshot snapshot_;
  const WorkdirOptions options_;

  Mutex mutex_;
  std::shared_ptr<void> background_ GUARDED_BY(mutex_);  // stops when dropped
};

}  // namespace artifactfs
