#include "cache/blob_index.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/log.h"
#include "base/worker_pool.h"

namespace artifactfs {

namespace {

// segment counts the rows of each segment, so that sums and unused segments are known without reading all rows.
constexpr std::array kSchema = {
    "CREATE TABLE blob(oid BLOB PRIMARY KEY, segment INTEGER NOT NULL, size INTEGER NOT NULL, frames BLOB NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE segment(number INTEGER PRIMARY KEY, blobs INTEGER NOT NULL, content_bytes INTEGER NOT NULL,"
    " disk_bytes INTEGER NOT NULL);"};

enum QueryNumber : size_t { kGetBlob, kPutBlob, kDeleteBlob, kCount, kSum, kIsReferenced, kQueryCount };

constexpr std::array<const char*, kQueryCount> kQueries = {
    "SELECT segment, size, frames FROM blob WHERE oid=?",
    "INSERT INTO blob(oid, segment, size, frames) VALUES(?, ?, ?, ?) ON CONFLICT DO NOTHING",
    "DELETE FROM blob WHERE oid=?",
    "INSERT INTO segment(number, blobs, content_bytes, disk_bytes) VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE"
    " SET blobs=blobs+?2, content_bytes=content_bytes+?3, disk_bytes=disk_bytes+?4",
    "SELECT coalesce(sum(blobs), 0), coalesce(sum(content_bytes), 0), coalesce(sum(disk_bytes), 0) FROM segment",
    "SELECT 1 FROM segment WHERE number=? AND blobs<>0",
};

// What a transaction changes in the segment table, written once at its end.
class SegmentCounts {
 public:
  void add(const BlobRow& row, int64_t sign) {
    Counts& counts = by_segment_[row.segment];
    counts.blobs += sign;
    counts.content_bytes += sign * static_cast<int64_t>(row.size_bytes);
    counts.disk_bytes += sign * static_cast<int64_t>(row.disk_bytes());
  }

  Result<void> write(DisposableDb::Connection& connection) const {
    TRY_ASSIGN(Statement * count, connection.statement(kCount));
    for (const auto& [segment, counts] : by_segment_) {
      count->bind(1, int64_t{segment}).bind(2, counts.blobs).bind(3, counts.content_bytes).bind(4, counts.disk_bytes);
      TRY(count->run());
    }
    return {};
  }

 private:
  struct Counts {
    int64_t blobs = 0;
    int64_t content_bytes = 0;
    int64_t disk_bytes = 0;
  };
  std::map<uint32_t, Counts> by_segment_;
};

Result<void> delete_row(DisposableDb::Connection& connection, const ObjectId& oid) {
  TRY_ASSIGN(Statement * remove, connection.statement(kDeleteBlob));
  remove->bind(1, oid);
  return remove->run();
}

}  // namespace

Result<std::unique_ptr<BlobIndex>> BlobIndex::open(const std::filesystem::path& path) {
  DisposableDb::Schema schema{.steps = kSchema, .queries = kQueries};
  schema.reader_cache_bytes = int64_t{8} << 20;  // a hundred thousand rows
  TRY_ASSIGN(auto db, DisposableDb::open(path, schema));
  auto self = std::unique_ptr<BlobIndex>(new BlobIndex(std::move(db)));
  self->flusher_ = std::thread([index = self.get()] {
    set_thread_name("blob-rows");
    index->run_flusher();
  });
  return self;
}

BlobIndex::~BlobIndex() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (flusher_.joinable()) flusher_.join();
  if (auto flushed = flush(); !flushed) log::warning("{}", flushed.error().text());
}

BlobIndex::RowPointer BlobIndex::find_in_memory(const ObjectId& oid) {
  {
    const MutexLock lock(mutex_);
    if (const auto pending = pending_.find(oid); pending != pending_.end()) return pending->second.row;
  }
  return recent_.get(oid);
}

Result<BlobIndex::RowPointer> BlobIndex::load(DisposableDb::Connection& connection, const ObjectId& oid) {
  TRY_ASSIGN(const DisposableDb::Query query, DisposableDb::Query::begin(connection, kGetBlob));
  query->bind(1, oid);
  TRY_ASSIGN(const bool found, query->step());
  if (!found) return nullptr;
  auto row = decode_row(oid, query->column_int(0), query->column_int(1), query->column_blob(2));
  if (!row) return nullptr;
  return std::make_shared<const BlobRow>(std::move(*row));
}

BlobIndex::RowPointer BlobIndex::find(const ObjectId& oid) {
  if (auto row = find_in_memory(oid)) return row;
  // Memory first, then the database: a row leaves memory only after its commit, so it cannot slip between the two.
  auto loaded = [&]() -> Result<RowPointer> {
    TRY_ASSIGN(const DisposableDb::Lease lease, db_->reader());
    return load(*lease, oid);
  }();
  if (!loaded) {
    note_failure(loaded.error());
    return nullptr;
  }
  if (*loaded != nullptr) {
    recent_.put(oid, *loaded, (*loaded)->memory_bytes());
    return *loaded;
  }
  return nullptr;
}

std::vector<ObjectId> BlobIndex::missing(std::span<const ObjectId> oids) {
  std::vector<ObjectId> absent;
  for (const ObjectId& oid : oids) {
    if (find_in_memory(oid) == nullptr) absent.push_back(oid);
  }
  const auto keep_missing = [&]() -> Result<void> {
    TRY_ASSIGN(const DisposableDb::Lease lease, db_->reader());
    size_t kept = 0;
    for (const ObjectId& oid : absent) {
      TRY_ASSIGN(const RowPointer row, load(*lease, oid));
      if (row == nullptr) absent[kept++] = oid;
    }
    absent.resize(kept);
    return {};
  };
  auto all = absent;
  if (auto kept = keep_missing(); !kept) {
    note_failure(kept.error());
    return all;
  }
  return absent;
}

Result<void> BlobIndex::add(const ObjectId& oid, BlobRow row, std::shared_ptr<SegmentWriter> writer) {
  size_t count = 0;
  {
    const MutexLock lock(mutex_);
    count = pending_.size();
  }
  if (count >= kMaxPendingRows) TRY(flush());
  auto shared = std::make_shared<const BlobRow>(std::move(row));
  {
    const MutexLock lock(mutex_);
    pending_.insert_or_assign(oid, Pending{std::move(shared), std::move(writer)});
    count = pending_.size();
  }
  if (count == 1 || count == kFlushRows) wake_.notify_one();
  return {};
}

void BlobIndex::drop(const ObjectId& oid, const RowPointer& row) {
  const MutexLock flushing(flush_mutex_);
  {
    const MutexLock lock(mutex_);
    if (const auto pending = pending_.find(oid); pending != pending_.end() && *pending->second.row == *row) {
      pending_.erase(pending);
    }
  }
  recent_.erase(oid);
  const auto dropped = db_->write([&](DisposableDb::Connection& connection) -> Result<void> {
    TRY_ASSIGN(const RowPointer stored, load(connection, oid));
    if (stored == nullptr || *stored != *row) return {};
    TRY(delete_row(connection, oid));
    SegmentCounts counts;
    counts.add(*stored, -1);
    return counts.write(connection);
  });
  if (dropped) return;
  note_failure(dropped.error());
  // A row that cannot be removed would keep its blob from being stored again for ever.
  if (auto mended = mend(); !mended) log::warning("{}", mended.error().text());
}

Result<void> BlobIndex::mend() {
  {
    const MutexLock lock(mutex_);
    if (!std::exchange(damaged_, false)) return {};
  }
  return db_->reset(Error{ErrorCode::corrupt, "cannot use '" + db_->path().string() + "'", "it is damaged"});
}

Result<void> BlobIndex::flush() {
  const MutexLock flushing(flush_mutex_);
  TRY(mend());
  std::vector<std::pair<ObjectId, Pending>> rows;
  {
    const MutexLock lock(mutex_);
    rows.assign(pending_.begin(), pending_.end());
  }
  if (rows.empty()) return {};
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  const auto written = db_->write([&](DisposableDb::Connection& connection) -> Result<void> {
    SegmentCounts counts;
    TRY_ASSIGN(Statement * put, connection.statement(kPutBlob));
    for (const auto& [oid, pending] : rows) {
      const auto frames = encode_frames(oid, *pending.row);
      put->bind(1, oid).bind(2, int64_t{pending.row->segment});
      put->bind(3, static_cast<int64_t>(pending.row->size_bytes)).bind(4, frames);
      TRY(put->run());
      if (connection.db().changes() == 0) {
        // Another writer's row, or one that turned out damaged and could not be deleted: the newest is kept.
        TRY_ASSIGN(const RowPointer old, load(connection, oid));
        if (old != nullptr) counts.add(*old, -1);
        TRY(delete_row(connection, oid));
        put->bind(4, frames);
        TRY(put->run());
      }
      counts.add(*pending.row, 1);
    }
    return counts.write(connection);
  });
  const bool damaged = !written && db_->is_damage(written.error());
  const MutexLock lock(mutex_);
  if (!written) {
    damaged_ = damaged_ || damaged;
    return fail(written.error());
  }
  for (const auto& [oid, written_row] : rows) {
    const auto pending = pending_.find(oid);
    if (pending != pending_.end() && pending->second.row == written_row.row) pending_.erase(pending);
  }
  return {};
}

void BlobIndex::note_failure(const Error& error) {
  if (!failed_.exchange(true)) log::warning("{}", error.text());
  if (!db_->is_damage(error)) return;
  {
    const MutexLock lock(mutex_);
    damaged_ = true;
  }
  wake_.notify_one();
}

BlobStore::Stats BlobIndex::stats() {
  const MutexLock flushing(flush_mutex_);
  BlobStore::Stats stats;
  {
    const MutexLock lock(mutex_);
    for (const auto& [oid, pending] : pending_) {
      ++stats.blobs;
      stats.content_bytes += pending.row->size_bytes;
      stats.disk_bytes += pending.row->disk_bytes();
    }
  }
  const auto summed = [&]() -> Result<void> {
    TRY_ASSIGN(const DisposableDb::Lease lease, db_->reader());
    TRY_ASSIGN(const DisposableDb::Query query, DisposableDb::Query::begin(*lease, kSum));
    TRY_ASSIGN(const bool found, query->step());
    if (!found) return {};
    stats.blobs += static_cast<uint64_t>(query->column_int(0));
    stats.content_bytes += static_cast<uint64_t>(query->column_int(1));
    stats.disk_bytes += static_cast<uint64_t>(query->column_int(2));
    return {};
  }();
  if (!summed) note_failure(summed.error());
  return stats;
}

bool BlobIndex::is_referenced(uint32_t segment) {
  const auto found = [&]() -> Result<bool> {
    TRY_ASSIGN(const DisposableDb::Lease lease, db_->reader());
    TRY_ASSIGN(const DisposableDb::Query query, DisposableDb::Query::begin(*lease, kIsReferenced));
    query->bind(1, int64_t{segment});
    return query->step();
  }();
  if (!found) note_failure(found.error());
  return !found || *found;
}

void BlobIndex::run_flusher() {
  bool failing = false;
  MutexLock lock(mutex_);
  while (!stopping_) {
    if (pending_.empty() && !damaged_) {
      wake_.wait(lock);
      continue;
    }
    const auto deadline =
        std::chrono::steady_clock::now() + (failing ? std::chrono::nanoseconds(kRetryInterval) : kFlushInterval);
    while (!stopping_ && (failing || pending_.size() < kFlushRows) && wake_.wait_until(lock, deadline)) {
    }
    if (stopping_) return;
    lock.unlock();
    const auto flushed = flush();
    if (!flushed && !failing) log::warning("{}; trying again", flushed.error().text());
    failing = !flushed;
    lock.lock();
  }
}

}  // namespace artifactfs
