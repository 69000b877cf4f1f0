// BlobIndex: which blobs are present and where: blobs.db, the rows not yet written to it, and rows read lately.
//
// add() makes a row visible at once from memory; a thread of its own writes rows to blobs.db in groups. Until a row is
// written, its segment's writer is kept alive, and with it the lock that keeps others from deleting the segment. Rows
// that do not decode to what was written are absent.
//
// Thread-safe. Lookups wait for no write. Lock order: flush_mutex_ before mutex_; mutex_ is never held across I/O.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <span>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "base/object_id.h"
#include "cache/blob_row.h"
#include "cache/blob_store.h"
#include "cache/disposable_db.h"
#include "cache/lru_cache.h"

namespace artifactfs {

class BlobIndex {
 public:
  static constexpr size_t kFlushRows = 1000;
  static constexpr auto kFlushInterval = std::chrono::milliseconds(50);
  /// Between attempts while blobs.db cannot be written.
  static constexpr auto kRetryInterval = std::chrono::seconds(1);
  /// Rows held in memory at most; while there are as many, add() writes them itself and fails when that fails.
  static constexpr size_t kMaxPendingRows = 65'536;
  static constexpr size_t kRowCacheBytes = size_t{4} << 20;

  using RowPointer = std::shared_ptr<const BlobRow>;

  static Result<std::unique_ptr<BlobIndex>> open(const std::filesystem::path& path);
  ~BlobIndex();
  BlobIndex(const BlobIndex&) = delete;
  BlobIndex& operator=(const BlobIndex&) = delete;

  /// Null when absent. An unreadable database reads as empty.
  RowPointer find(const ObjectId& oid) EXCLUDES(mutex_);
  /// Of `oids`, those that are absent, in order.
  std::vector<ObjectId> missing(std::span<const ObjectId> oids) EXCLUDES(mutex_);

  Result<void> add(const ObjectId& oid, BlobRow row, std::shared_ptr<SegmentWriter> writer) EXCLUDES(mutex_);
  /// Removes `row` of `oid`; a different row that has taken its place stays.
  void drop(const ObjectId& oid, const RowPointer& row) EXCLUDES(mutex_, flush_mutex_);

  /// Writes the pending rows to blobs.db.
  Result<void> flush() EXCLUDES(mutex_, flush_mutex_);
  BlobStore::Stats stats() EXCLUDES(mutex_, flush_mutex_);
  /// True when blobs.db has rows in that segment, or cannot say.
  bool is_referenced(uint32_t segment);

 private:
  struct Pending {
    RowPointer row;
    std::shared_ptr<SegmentWriter> writer;
  };
  using PendingRows = std::unordered_map<ObjectId, Pending>;

  explicit BlobIndex(std::unique_ptr<DisposableDb> db) : db_(std::move(db)), recent_(kRowCacheBytes) {}
  RowPointer find_in_memory(const ObjectId& oid) EXCLUDES(mutex_);
  static Result<RowPointer> load(DisposableDb::Connection& connection, const ObjectId& oid);
  /// A lookup or drop failed: the log hears of the first, the flusher of a corrupt database.
  void note_failure(const Error& error) EXCLUDES(mutex_);
  /// Begins a damaged database anew; what is pending is kept.
  Result<void> mend() REQUIRES(flush_mutex_) EXCLUDES(mutex_);
  void run_flusher() EXCLUDES(mutex_, flush_mutex_);

  const std::unique_ptr<DisposableDb> db_;
  LruCache<ObjectId, BlobRow> recent_;

  std::atomic<bool> failed_ = false;

  Mutex flush_mutex_;  // one flush, drop or count at a time

  Mutex mutex_;
  CondVar wake_;
  PendingRows pending_ GUARDED_BY(mutex_);
  bool damaged_ GUARDED_BY(mutex_) = false;  // blobs.db cannot be used; the next flush or drop begins it anew
  bool stopping_ GUARDED_BY(mutex_) = false;

  std::thread flusher_;  // last: it uses all of the above
};

}  // namespace artifactfs
