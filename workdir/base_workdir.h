// BaseWorkdir: a Workdir that shows its base tree and nothing else (read-only until there is an overlay).
//
// All state is constant after construction but counters; every operation is a look into the index or a call of the
// ObjectStore, so there are no locks here.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "workdir/base_tree.h"
#include "workdir/workdir.h"

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
  Result<FilesystemStats> statfs() override;
  void forget(InodeNumber inode, uint64_t count) override;

  WorkdirStatus status() override;
  std::filesystem::path git_directory() const override { return options_.directory / "git"; }
  Result<std::vector<std::string>> unsaved_work() override;
  void add_refs(const std::vector<RefRow>& refs, const std::vector<ObjectId>& shallow) override;

 private:
  class Blocked;
  Attributes common_attributes(InodeNumber inode) const;
  Attributes attributes(const BaseEntry& entry, std::optional<uint64_t> size_bytes) const;
  Result<Attributes> directory_attributes(const BaseEntry& entry) const;
  Attributes gitfile_attributes() const;
  /// Files of the same directory, when a size in it has been asked for before: then somebody is going through it.
  std::vector<ObjectId> siblings_to_size(const BaseEntry& entry);

  // Constant after construction.
  const std::shared_ptr<Store> store_;
  const Snapshot snapshot_;
  const WorkdirOptions options_;
  const std::string gitfile_;
  const int64_t timestamp_;  // of every base entry, seconds since the epoch
  const BaseTree base_;
  uint64_t entries_ = 0;

  std::atomic<uint64_t> blocked_readers_{0};
  std::atomic<InodeNumber> last_sized_directory_{0};
};

}  // namespace artifactfs
