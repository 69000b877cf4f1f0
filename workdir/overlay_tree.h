// OverlayTree: the merged view's names and inodes: the base tree below, the overlay's rows above.
//
// An inode of the base (kRootInode + rank) keeps its number whatever happens to it: a row is made for it when something
// about it changes, and its place in the base tree is hidden by a whiteout when it moves or goes. The children of a
// moved base directory are still found by rank, so moving one costs a few rows. Directories of the overlay have no base
// tree, and hide nothing.
//
// Every operation that changes something is one OverlayEdit: rows are collected, committed in one transaction, and only
// then applied to memory; if the commit fails nothing has happened.
//
// Thread-safe behind one lock, held across commits (which do not fsync) and looks into index.db, never across a
// network, an fsync or a file of upper/.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/mutex.h"
#include "workdir/base_files.h"
#include "workdir/change_journal.h"
#include "workdir/changed_paths.h"
#include "workdir/overlay_db.h"
#include "workdir/overlay_state.h"

namespace artifactfs {

/// One inode as it is now.
struct InodeView {
  InodeNumber inode = 0;
  std::optional<InodeRow> row;    // absent: untouched, and as `base` says
  std::optional<BaseEntry> base;  // of an untouched inode; else only where it was at hand
  int64_t subdirectories = 0;     // more (or less) than the base tree has
  uint64_t commit = 0;            // the last commit when this was looked at

  bool is_directory() const;
  bool is_regular() const;
};

class OverlayTree {
 public:
  /// Names listed under one hold of the lock.
  static constexpr size_t kListedAtOnce = 128;
  /// As ext4 with its default 4 KiB block for attributes outside the inode.
  static constexpr size_t kXattrBytes = 4096 - 32;
  static constexpr uint64_t kReserveBytes = uint64_t{1} << 20;

  /// `base` must outlive this. Rows are read; check_overlay() has repaired them before.
  static Result<std::unique_ptr<OverlayTree>> open(const BaseFiles& base, const std::filesystem::path& directory);

  /// Counts as a lookup.
  Result<InodeView> lookup(InodeNumber parent, std::string_view name) EXCLUDES(mutex_);
  Result<InodeView> find(InodeNumber inode) EXCLUDES(mutex_);

  struct Listed {
    std::string name;
    InodeView view;
    uint64_t next_cookie = 0;
  };
  struct Listing {
    InodeNumber parent = 0;
    std::vector<Listed> entries;
    uint64_t next_cookie = 0;  // where to go on, also when `entries` is empty
    bool end = false;
  };
  /// Entries behind `cookie` ("." and ".." and the gitfile are the caller's), at most kListedAtOnce.
  Result<Listing> list(InodeNumber directory, uint64_t cookie) EXCLUDES(mutex_);

  /// A number for a new inode.
  Result<InodeNumber> allocate() EXCLUDES(mutex_);
  /// Fails with what create() would fail with at once, so that nothing need be made for it.
  Result<void> may_create(InodeNumber parent, std::string_view name) EXCLUDES(mutex_);
  /// A new inode `row` under a name; owner, group and times are set here. Counts as a lookup.
  Result<InodeView> create(const Caller& caller, InodeNumber parent, std::string_view name, InodeNumber inode,
                           InodeRow row) EXCLUDES(mutex_);
  /// A new inode without a name.
  Result<InodeView> create_nameless(const Caller& caller, InodeNumber parent, InodeNumber inode, InodeRow row)
      EXCLUDES(mutex_);
  Result<InodeView> link(InodeNumber inode, InodeNumber new_parent, std::string_view new_name) EXCLUDES(mutex_);

  /// The inode that is gone for good, if one is and it had data in upper/.
  using Gone = std::optional<InodeNumber>;
  Result<Gone> unlink(InodeNumber parent, std::string_view name) EXCLUDES(mutex_);
  Result<void> rmdir(InodeNumber parent, std::string_view name) EXCLUDES(mutex_);
  Result<Gone> rename(InodeNumber parent, std::string_view name, InodeNumber new_parent, std::string_view new_name,
                      RenameMode mode) EXCLUDES(mutex_);
  void remember(InodeNumber inode) EXCLUDES(mutex_);
  Gone forget(InodeNumber inode, uint64_t count) EXCLUDES(mutex_);

  /// Mode, ids and times (not the size); sets ctime.
  Result<InodeView> set_attributes(InodeNumber inode, const AttributeChange& change) EXCLUDES(mutex_);
  /// The inode has a file in upper/ from now on.
  Result<void> set_upper(InodeNumber inode) EXCLUDES(mutex_);
  Result<void> set_xattr(InodeNumber inode, std::string_view name, std::optional<std::string_view> value,
                         XattrMode mode) EXCLUDES(mutex_);
  Result<std::optional<std::string>> xattr(InodeNumber inode, std::string_view name) EXCLUDES(mutex_);
  std::vector<std::string> xattrs(InodeNumber inode) EXCLUDES(mutex_);

  /// Before content is changed: the change is in the journal. Returns what content_changed() wants.
  Result<uint64_t> content_will_change(InodeNumber inode) EXCLUDES(mutex_);
  /// After it and before it is acknowledged: if somebody was told the state in between, records it again.
  void content_changed(InodeNumber inode, uint64_t generation) EXCLUDES(mutex_);

  /// The directories that hold, or lie above, anything that the overlay has changed; all others are as in the base.
  std::unordered_set<InodeNumber> changed_directories() EXCLUDES(mutex_);

  Result<ChangedPaths> changes_since(std::string_view token) EXCLUDES(mutex_);

  OverlayDb& db() { return *db_; }
  /// Takes the reserve again after a full disk. Any thread; waits for the disk.
  void refill_reserve();
  /// Rows of changed inodes.
  uint64_t changed_inodes() EXCLUDES(mutex_);

 private:
  struct Slot;
  class Change;

  OverlayTree(const BaseFiles& base, std::unique_ptr<OverlayDb> db, ChangeJournal journal, UniqueFd reserve);
  Result<void> load() REQUIRES(mutex_);
  /// `frees`: an operation that makes room, and so may use the reserve when the disk is full.
  Result<void> commit(OverlayEdit& edit, bool frees = false) REQUIRES(mutex_);

  OverlayState::BaseName base_name(InodeNumber parent, std::string_view name) const;
  /// The base tree of a directory; null when it has none.
  Result<std::shared_ptr<const Tree>> base_tree(InodeNumber directory) const;
  InodeRow base_row(const BaseEntry& entry) const;
  /// A name that may not be made or removed.
  Result<void> check_name(InodeNumber parent, std::string_view name) const;
  Result<InodeView> view(InodeNumber inode) REQUIRES(mutex_);
  /// A directory that has not been removed.
  Result<void> check_directory(InodeNumber inode) REQUIRES(mutex_);
  Result<Slot> slot(InodeNumber parent, std::string_view name) REQUIRES(mutex_);
  Result<bool> is_empty(InodeNumber directory) REQUIRES(mutex_);
  Result<bool> is_within(InodeNumber inode, InodeNumber directory) REQUIRES(mutex_);
  Result<void> check_rename(const Slot& from, const Slot& to, RenameMode mode) REQUIRES(mutex_);
  /// Where an inode is: parent and name; nullopt when it has no name.
  std::optional<std::pair<InodeNumber, std::string>> position(InodeNumber inode) REQUIRES(mutex_);
  std::optional<std::pair<InodeNumber, std::string>> base_position(InodeNumber inode) const;
  std::optional<std::string> path_of_directory(InodeNumber inode) REQUIRES(mutex_);
  void add_paths(const JournalRow& row, std::vector<std::string>& paths) REQUIRES(mutex_);
  Timestamp now() REQUIRES(mutex_);

  const BaseFiles& base_;
  const std::unique_ptr<OverlayDb> db_;
  const UniqueFd reserve_;  // a file of kReserveBytes, so that something can be removed when the disk is full

  Mutex mutex_;
  OverlayState state_ GUARDED_BY(mutex_);
  ChangeJournal journal_ GUARDED_BY(mutex_);
  std::unordered_map<InodeNumber, uint64_t> lookups_ GUARDED_BY(mutex_);  // what the kernel holds
  std::vector<InodeNumber> forgotten_ GUARDED_BY(mutex_);                 // orphans whose rows go with the next commit
  InodeNumber next_inode_ GUARDED_BY(mutex_) = kFirstOverlayInode;
  InodeNumber reserved_inodes_ GUARDED_BY(mutex_) = kFirstOverlayInode;
  uint64_t next_row_ GUARDED_BY(mutex_) = 1;
  Timestamp last_time_ GUARDED_BY(mutex_);
};

}  // namespace artifactfs
