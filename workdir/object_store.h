// ObjectStore: contents and sizes of blobs for everyone who reads, whether they are cached or must be fetched first.
//
// Ready: answered at once from the BlobStore. Else the request is parked with the fetcher (single flight: concurrent
// requests for one oid share one fetch) and answered when the object has been verified and stored.
//
// Thread-safe; completions run with no lock held, on the caller's or on a fetch thread, and must be quick.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/object_id.h"
#include "workdir/filesystem.h"

namespace artifactfs {

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  /// Size if it is known without asking anyone.
  virtual std::optional<uint64_t> size_now(const ObjectId& oid) = 0;
  /// The same for many: one optional an oid, in order.
  virtual std::vector<std::optional<uint64_t>> sizes_now(std::span<const ObjectId> oids) = 0;

  /// The size, asked for if need be (`timeout` is how long without progress, here and below): by object-info where the
  /// server has it, else by fetching the blob (answered as soon as its header has been seen). `siblings` are likely to
  /// be asked next and are resolved in the same batch. The size is persisted before `done` runs.
  [[nodiscard]] virtual Ticket size(const ObjectId& oid, std::span<const ObjectId> siblings, Duration timeout,
                                    Completion<uint64_t> done) = 0;

  /// Up to `size` bytes at `offset` of the content.
  [[nodiscard]] virtual Ticket read(const ObjectId& oid, uint64_t offset, size_t size, Duration timeout,
                                    Completion<ReadData> done) = 0;

  /// Says that these contents will be read soon, in this order. A hint: it may be ignored.
  virtual void prefetch(std::span<const ObjectId> oids) { (void)oids; }

  /// True when the content is in the BlobStore.
  virtual bool is_cached(const ObjectId& oid) = 0;
};

}  // namespace artifactfs
