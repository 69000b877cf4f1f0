// BaseWorkdir: a Workdir that shows its base tree and nothing else: a read-only mount.
//
// Every operation is a look into the index or a call of the ObjectStore, so there are no locks here.
#pragma once

#include <memory>
#include <string>

#include "workdir/base_files.h"
#include "workdir/workdir.h"
#include "workdir/workdir_life.h"

namespace artifactfs {

class BaseWorkdir final : public Workdir {
 public:
  BaseWorkdir(std::shared_ptr<Store> store, const Snapshot& snapshot, const WorkdirOptions& options);

  Result<Attributes> lookup(InodeNumber parent, std::string_view name) override;
  Ticket getattr(InodeNumber inode, Completion<Attributes> done) override;
  Result<void> read_directory(InodeNumber inode, uint64_t cookie,
                              const std::function<bool(const DirectoryEntry&)>& emit) override;
  Ticket readlink(InodeNumber inode, Completion<std::string> done) override;
  Ticket read(InodeNumber inode, uint64_t offset, size_t size, Completion<ReadData> done) override;
  Result<std::string> getxattr(InodeNumber inode, std::string_view name) override;
  Result<std::vector<std::string>> listxattr(InodeNumber inode) override;
  Result<FilesystemStats> statfs() override { return life_.statfs(); }
  void forget(InodeNumber, uint64_t) override {}  // nothing is kept per inode

  WorkdirStatus status() override;
  std::filesystem::path git_directory() const override { return life_.git_directory(); }
  /// Also of the overlay that an earlier, writable mount may have left.
  Result<std::vector<std::string>> unsaved_work() override;
  /// Nothing ever changes: one token says it all.
  Result<ChangedPaths> changes_since(std::string_view token) override;
  void add_refs(const std::vector<RefRow>& refs, const std::vector<ObjectId>& shallow) override {
    life_.add_refs(refs, shallow);
  }

 private:
  WorkdirLife life_;
  BaseFiles base_;
  uint64_t entries_ = 0;  // constant after construction
};

/// The BaseFilesOptions of a mount.
BaseFilesOptions base_files_options(const Snapshot& snapshot, const WorkdirOptions& options);

}  // namespace artifactfs
