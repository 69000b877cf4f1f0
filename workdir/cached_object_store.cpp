#include "workdir/cached_object_store.h"

#include <algorithm>
#include <utility>

namespace artifactfs {

namespace {

// A wait that the fetcher can end.
class FetchTicket final : public ParkedOperation {
 public:
  FetchTicket(ObjectFetcher& fetcher, ObjectFetcher::WaiterId id) : fetcher_(fetcher), id_(id) {}
  void cancel() noexcept override { fetcher_.cancel(id_); }

 private:
  ObjectFetcher& fetcher_;
  ObjectFetcher::WaiterId id_;
};

// Work that goes on by itself and ends soon: nothing to cancel.
class LocalTicket final : public ParkedOperation {
 public:
  void cancel() noexcept override {}
};

// The bridge between a BlobStore::Writer and the fetcher's BlobSink::Writer.
class SinkWriter final : public BlobSink::Writer {
 public:
  explicit SinkWriter(std::unique_ptr<BlobStore::Writer> writer) : writer_(std::move(writer)) {}
  Result<void> append(std::span<const std::byte> content) override { return writer_->append(content); }
  Result<void> commit(const ObjectId& oid) override { return writer_->commit(oid); }

 private:
  std::unique_ptr<BlobStore::Writer> writer_;
};

}  // namespace

Result<std::unique_ptr<BlobSink::Writer>> CacheSink::begin(uint64_t size_bytes) {
  TRY_ASSIGN(auto writer, blobs_.begin(size_bytes));
  return std::make_unique<SinkWriter>(std::move(writer));
}

std::optional<uint64_t> CachedObjectStore::size_now(const ObjectId& oid) { return index_.size(oid); }

std::vector<std::optional<uint64_t>> CachedObjectStore::sizes_now(std::span<const ObjectId> oids) {
  return index_.sizes(oids);
}

Ticket CachedObjectStore::size(const ObjectId& oid, std::span<const ObjectId> siblings, Duration timeout,
                               Completion<uint64_t> done) {
  if (const auto known = index_.size(oid)) {
    done(*known);
    return nullptr;
  }
  if (const auto cached = blobs_.find(oid)) {
    // The content came, its size is about to be recorded. A size is told only once it is on disk.
    pool_.submit([this, oid, size_bytes = *cached, done = std::move(done)]() mutable {
      const std::pair<ObjectId, uint64_t> size{oid, size_bytes};
      if (auto recorded = index_.put_sizes({&size, 1}); !recorded) return done(fail(recorded.error()));
      done(size_bytes);
    });
    return std::make_shared<LocalTicket>();
  }
  std::vector<ObjectId> unknown;
  const auto known = index_.sizes(siblings);
  for (size_t i = 0; i < siblings.size(); ++i) {
    if (!known[i] && siblings[i] != oid) unknown.push_back(siblings[i]);
  }
  const auto id = fetcher_.fetch_size(oid, unknown, timeout, std::move(done));
  return std::make_shared<FetchTicket>(fetcher_, id);
}

Result<ReadData> CachedObjectStore::read_cached(const ObjectId& oid, uint64_t blob_bytes, uint64_t offset,
                                                size_t size) {
  ReadData data;
  if (offset >= blob_bytes) return data;
  size = static_cast<size_t>(std::min<uint64_t>(size, blob_bytes - offset));
  data.bytes = std::make_unique_for_overwrite<std::byte[]>(size);
  TRY_ASSIGN(data.size, blobs_.read(oid, offset, {data.bytes.get(), size}));
  return data;
}

Ticket CachedObjectStore::read(const ObjectId& oid, uint64_t offset, size_t size, Duration timeout,
                               Completion<ReadData> done) {
  const auto cached = blobs_.find(oid);
  if (!cached) return fetch_and_read(oid, offset, size, timeout, std::move(done));
  if (*cached > kInlineReadBytes) {
    pool_.submit([this, oid, blob_bytes = *cached, offset, size, timeout, done = std::move(done)]() mutable {
      read_or_fetch(oid, blob_bytes, offset, size, timeout, std::move(done));
    });
    return std::make_shared<LocalTicket>();
  }
  return read_or_fetch(oid, *cached, offset, size, timeout, std::move(done));
}

Ticket CachedObjectStore::read_or_fetch(const ObjectId& oid, uint64_t blob_bytes, uint64_t offset, size_t size,
                                        Duration timeout, Completion<ReadData> done) {
  auto data = read_cached(oid, blob_bytes, offset, size);
  if (!data && data.error().code == ErrorCode::not_found) {  // damaged, and dropped by the store
    return fetch_and_read(oid, offset, size, timeout, std::move(done));
  }
  done(std::move(data));
  return nullptr;
}

Ticket CachedObjectStore::fetch_and_read(const ObjectId& oid, uint64_t offset, size_t size, Duration timeout,
                                         Completion<ReadData> done) {
  const auto id = fetcher_.fetch(oid, Lane::interactive, timeout,
                                 [this, oid, offset, size, done = std::move(done)](Result<uint64_t> stored) mutable {
                                   if (!stored) return done(fail(stored.error()));
                                   done(read_cached(oid, *stored, offset, size));
                                 });
  return std::make_shared<FetchTicket>(fetcher_, id);
}

void CachedObjectStore::prefetch(std::span<const ObjectId> oids) { fetcher_.prefetch(blobs_.missing(oids)); }

bool CachedObjectStore::is_cached(const ObjectId& oid) { return blobs_.find(oid).has_value(); }

}  // namespace artifactfs
