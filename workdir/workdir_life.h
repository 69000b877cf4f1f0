// WorkdirLife: what goes on around a mount's files, whatever Filesystem shows them: its gitdir and its status.
// Immutable; thread-safe.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "workdir/workdir.h"

namespace artifactfs {

class WorkdirLife {
 public:
  WorkdirLife(std::shared_ptr<Store> store, const Snapshot& snapshot, const WorkdirOptions& options);

  Store& store() const { return *store_; }
  const std::shared_ptr<Store>& shared_store() const { return store_; }
  const Snapshot& snapshot() const { return snapshot_; }
  const WorkdirOptions& options() const { return options_; }
  std::filesystem::path git_directory() const { return options_.directory / "git"; }

  /// As the Workdir's; the caller adds what it knows of its files.
  WorkdirStatus status() const;
  void add_refs(const std::vector<RefRow>& refs, const std::vector<ObjectId>& shallow) const;
  /// Of the disk that holds the mount's directory.
  Result<FilesystemStats> statfs() const;

 private:
  const std::shared_ptr<Store> store_;
  const Snapshot snapshot_;
  const WorkdirOptions options_;
};

}  // namespace artifactfs
