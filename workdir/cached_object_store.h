// CachedObjectStore: the ObjectStore over one remote's BlobStore, TreeIndex (for sizes) and ObjectFetcher.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/worker_pool.h"
#include "cache/blob_store.h"
#include "cache/tree_index.h"
#include "fetch/object_fetcher.h"
#include "workdir/object_store.h"

namespace artifactfs {

/// Where the fetcher puts what it fetched: contents into the BlobStore, sizes into index.db.
class CacheSink final : public BlobSink {
 public:
  CacheSink(TreeIndex& index, BlobStore& blobs) : index_(index), blobs_(blobs) {}
  std::optional<uint64_t> find(const ObjectId& oid) override { return blobs_.find(oid); }
  Result<std::unique_ptr<Writer>> begin(uint64_t size_bytes) override;
  Result<size_t> read(const ObjectId& oid, uint64_t offset, std::span<std::byte> into) override {
    return blobs_.read(oid, offset, into);
  }
  Result<void> record_sizes(std::span<const std::pair<ObjectId, uint64_t>> sizes) override {
    return index_.put_sizes(sizes);
  }

 private:
  TreeIndex& index_;
  BlobStore& blobs_;
};

/// Thread-safe. All references must outlive it.
class CachedObjectStore final : public ObjectStore {
 public:
  /// Blobs up to this size are read and decompressed on the calling (session) thread; larger ones on the pool.
  static constexpr uint64_t kInlineReadBytes = uint64_t{256} << 10;

  CachedObjectStore(TreeIndex& index, BlobStore& blobs, ObjectFetcher& fetcher, WorkerPool& pool)
      : index_(index), blobs_(blobs), fetcher_(fetcher), pool_(pool) {}

  std::optional<uint64_t> size_now(const ObjectId& oid) override;
  std::vector<std::optional<uint64_t>> sizes_now(std::span<const ObjectId> oids) override;
  Ticket size(const ObjectId& oid, std::span<const ObjectId> siblings, Duration timeout,
              Completion<uint64_t> done) override;
  Ticket read(const ObjectId& oid, uint64_t offset, size_t size, Duration timeout, Completion<ReadData> done) override;
  void prefetch(std::span<const ObjectId> oids) override;
  bool is_cached(const ObjectId& oid) override;

 private:
  Result<ReadData> read_cached(const ObjectId& oid, uint64_t blob_bytes, uint64_t offset, size_t size);
  Ticket read_or_fetch(const ObjectId& oid, uint64_t blob_bytes, uint64_t offset, size_t size, Duration timeout,
                       Completion<ReadData> done);
  Ticket fetch_and_read(const ObjectId& oid, uint64_t offset, size_t size, Duration timeout, Completion<ReadData> done);

  TreeIndex& index_;
  BlobStore& blobs_;
  ObjectFetcher& fetcher_;
  WorkerPool& pool_;
};

}  // namespace artifactfs
