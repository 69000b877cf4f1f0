// OverlayDb: overlay.db, the durable form of the overlay's names and inodes (mounts/<mount-id>/overlay.db).
//
// Schema, version 1 (names are blobs: any bytes):
//   inode(inode, mode, uid, gid, links, at_base, data, device, base_oid, atime_s, atime_ns, ..., target)
//   dentry(row, parent, name, inode)   inode 0: a whiteout; (parent, name) is unique, which check_overlay() verifies
//     rather than an index: memory has all rows, and nothing is ever looked up here
//   xattr(inode, name, value)
//   journal(seq, inode, name, directory)
//   meta(key, value)
// Everything is read once, at open. WAL, synchronous=NORMAL: a commit is a write to the page cache (it survives
// kill -9); sync() makes what was committed durable. Pages of 1 KiB: the WAL takes whole pages, and checksums them.
//
// One thread at a time (the overlay's lock), but sync() and checkpoint(), which are for any thread and take no lock
// that a commit needs.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/db.h"
#include "base/mutex.h"
#include "base/unique_fd.h"
#include "workdir/overlay_rows.h"

namespace artifactfs {

class OverlayDb {
 public:
  /// ErrorCode::not_supported when the file is of a newer version.
  static Result<std::unique_ptr<OverlayDb>> open(const std::filesystem::path& path);

  /// What load() calls for each row.
  struct Loader {
    std::function<void(InodeNumber, InodeRow)> inode;
    std::function<void(DentryRow)> dentry;
    std::function<void(XattrRow)> xattr;
  };
  Result<void> load(const Loader& loader);

  /// One transaction. On error nothing of it was done.
  Result<void> commit(const OverlayEdit& edit);

  Result<std::optional<std::string>> value(std::string_view key);
  Result<void> put_value(std::string_view key, std::string_view value);

  /// The journal's rows with `after` < seq <= `up_to`, in order, at most `limit`; with the seq of the last of them.
  Result<std::pair<std::vector<JournalRow>, int64_t>> journal_between(int64_t after, int64_t up_to, size_t limit);
  /// Lowest and highest seq that the journal has; 0, 0 when it is empty.
  Result<std::pair<int64_t, int64_t>> journal_bounds();
  Result<void> trim_journal(int64_t up_to);
  /// The last seq given to a committed journal row, in this process.
  int64_t last_journal_seq() const { return next_seq_ - 1; }

  /// Commits so far.
  uint64_t commits() const { return commits_; }
  /// Makes commits up to number `commit` durable. Waits for the disk. Any thread.
  Result<void> sync(uint64_t commit) EXCLUDES(sync_mutex_);
  /// Copies the log into the database, on a connection of its own. Waits for the disk. One thread at a time.
  Result<void> checkpoint();

  const std::filesystem::path& path() const { return db_->path(); }

 private:
  struct Statements {
    Statement put_inode, delete_inode, delete_xattrs, put_dentry, delete_dentry, put_xattr, delete_xattr, journal;
    Statement begin, commit, rollback;
  };

  explicit OverlayDb(std::unique_ptr<Db> db) : db_(std::move(db)) {}
  Result<void> prepare();
  Result<void> write(const OverlayEdit& edit);

  std::unique_ptr<Db> db_;
  std::unique_ptr<Db> checkpoint_db_;
  UniqueFd log_;  // overlay.db-wal, on a descriptor of our own
  Statements statements_;
  int64_t next_seq_ = 1;
  std::atomic<uint64_t> commits_{0};

  Mutex sync_mutex_;
  uint64_t synced_ GUARDED_BY(sync_mutex_) = 0;
};

}  // namespace artifactfs
