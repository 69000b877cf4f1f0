// WritableWorkdir: a Workdir whose tree can be changed: the base tree below, the overlay above.
//
// Names and inodes are OverlayTree's, contents of changed files UpperFiles', contents of others BaseFiles'; this brings
// them together. Contents are read and written with no lock held. What waits for the disk (fsync, copy-up, large
// copies) runs on a pool of its own; what waits for the network is parked.
//
// ".git" at the root (kGitfileInode) is synthesized: it can be read, and nothing else.
//
// Thread-safe. Everything parked must have completed, or be completed by its cancel(), before the Store goes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/worker_pool.h"
#include "workdir/base_files.h"
#include "workdir/copy_ups.h"
#include "workdir/overlay_check.h"
#include "workdir/overlay_checkpointer.h"
#include "workdir/overlay_tree.h"
#include "workdir/upper_files.h"
#include "workdir/workdir.h"
#include "workdir/workdir_life.h"

namespace artifactfs {

class WritableWorkdir final : public Workdir {
 public:
  static constexpr size_t kDiskThreads = 4;
  /// copy_file_range copies at most so much in one call; more than kInlineCopyBytes on the pool.
  static constexpr uint64_t kCopyBytes = uint64_t{16} << 20;
  static constexpr uint64_t kInlineCopyBytes = uint64_t{256} << 10;
  /// Files larger than this are removed from the disk by the pool.
  static constexpr uint64_t kInlineRemoveBytes = uint64_t{16} << 20;

  /// Checks and repairs the overlay first, and logs what it found.
  static Result<std::unique_ptr<WritableWorkdir>> open(std::shared_ptr<Store> store, const Snapshot& snapshot,
                                                       const WorkdirOptions& options);

  Result<Attributes> lookup(InodeNumber parent, std::string_view name) override;
  Ticket getattr(InodeNumber inode, Completion<Attributes> done) override;
  Result<void> read_directory(InodeNumber inode, uint64_t cookie,
                              const std::function<bool(const DirectoryEntry&)>& emit) override;
  Ticket readlink(InodeNumber inode, Completion<std::string> done) override;
  Ticket read(InodeNumber inode, uint64_t offset, size_t size, Completion<ReadData> done) override;
  /// user.artifactfs.oid and .state are readable, not listed (`cp --preserve=xattr` would try to set them).
  Result<std::string> getxattr(InodeNumber inode, std::string_view name) override;
  Result<std::vector<std::string>> listxattr(InodeNumber inode) override;
  Result<FilesystemStats> statfs() override { return life_.statfs(); }
  void remember(InodeNumber inode) override;
  void forget(InodeNumber inode, uint64_t count) override;

  Result<Attributes> mknod(const Caller& caller, InodeNumber parent, std::string_view name, uint32_t mode,
                           uint64_t device) override;
  Result<Attributes> mkdir(const Caller& caller, InodeNumber parent, std::string_view name, uint32_t mode) override;
  Result<Attributes> symlink(const Caller& caller, InodeNumber parent, std::string_view name,
                             std::string_view target) override;
  Result<Attributes> link(InodeNumber inode, InodeNumber new_parent, std::string_view new_name) override;
  Result<Attributes> tmpfile(const Caller& caller, InodeNumber parent, uint32_t mode) override;
  Result<void> unlink(InodeNumber parent, std::string_view name) override;
  Result<void> rmdir(InodeNumber parent, std::string_view name) override;
  Result<void> rename(InodeNumber parent, std::string_view name, InodeNumber new_parent, std::string_view new_name,
                      RenameMode mode) override;
  Ticket setattr(InodeNumber inode, const AttributeChange& change, Completion<Attributes> done) override;
  Ticket write(InodeNumber inode, uint64_t offset, std::span<const std::byte> data, bool kill_privileges,
               Completion<size_t> done) override;
  Ticket fallocate(InodeNumber inode, AllocateMode mode, uint64_t offset, uint64_t length,
                   Completion<void> done) override;
  Ticket seek(InodeNumber inode, SeekTo to, uint64_t offset, Completion<std::optional<uint64_t>> done) override;
  Ticket copy_file_range(InodeNumber from, uint64_t from_offset, InodeNumber to, uint64_t to_offset, uint64_t size,
                         Completion<size_t> done) override;
  Ticket fsync(InodeNumber inode, bool data_only, Completion<void> done) override;
  Result<void> setxattr(InodeNumber inode, std::string_view name, std::string_view value, XattrMode mode) override;
  Result<void> removexattr(InodeNumber inode, std::string_view name) override;

  WorkdirStatus status() override;
  std::filesystem::path git_directory() const override { return life_.git_directory(); }
  Result<std::vector<std::string>> unsaved_work() override;
  void add_refs(const std::vector<RefRow>& refs, const std::vector<ObjectId>& shallow) override {
    life_.add_refs(refs, shallow);
  }
  Result<ChangedPaths> changes_since(std::string_view token) override { return tree_->changes_since(token); }

  /// Inodes that have rows in the overlay.
  uint64_t changed_inodes() { return tree_->changed_inodes(); }

 private:
  WritableWorkdir(std::shared_ptr<Store> store, const Snapshot& snapshot, const WorkdirOptions& options);
  Result<void> open_overlay();

  /// The size is unknown where it would have to be asked for.
  Result<Attributes> attributes(const InodeView& view);
  Result<Attributes> attributes_of(const Result<InodeView>& view);
  /// What `view` was in the base, found if it is not at hand.
  Result<BaseEntry> base_entry(const InodeView& view) const;
  /// A regular file with data of its own.
  Result<Attributes> make_file(const Caller& caller, std::optional<InodeNumber> parent_of_name, InodeNumber parent,
                               std::string_view name, uint32_t mode);
  void remove_data(const OverlayTree::Gone& gone);

  // With data of its own already; each is recorded in the journal around `change`.
  template <typename Change>
  auto change_content(InodeNumber inode, Change&& change) -> decltype(change(0));
  Result<size_t> write_now(InodeNumber inode, uint64_t offset, std::span<const std::byte> data, bool kill_privileges);
  Result<void> truncate_now(InodeNumber inode, uint64_t size_bytes);
  Result<void> set_times_now(InodeNumber inode, const AttributeChange& change);
  Result<void> allocate_now(InodeNumber inode, AllocateMode mode, uint64_t offset, uint64_t length);
  Result<size_t> copy_now(InodeNumber from, uint64_t from_offset, InodeNumber to, uint64_t to_offset, size_t size);
  Result<void> set_other_attributes(InodeNumber inode, const AttributeChange& change);
  void sync_now(InodeNumber inode, bool data_only, Completion<void> done);

  WorkdirLife life_;
  BaseFiles base_;
  uint64_t entries_ = 0;
  std::unique_ptr<OverlayTree> tree_;
  std::unique_ptr<UpperFiles> upper_;
  std::unique_ptr<OverlayCheckpointer> checkpointer_;
  std::unique_ptr<WorkerPool> disk_;  // runs what is queued before it goes
  std::unique_ptr<CopyUps> copy_ups_;
};

}  // namespace artifactfs
