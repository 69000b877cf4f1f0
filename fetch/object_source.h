// ObjectSource and BlobSink: the two ends between which ObjectFetcher works. A source is a remote (or, when the remote
// can only be cloned whole, the store's own object directory); a sink keeps what was fetched.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"
#include "fetch/pack_reader.h"
#include "fetch/protocol.h"

namespace artifactfs {

/// Thread-safe: several fetch threads call it at once. Calls block.
class ObjectSource {
 public:
  virtual ~ObjectSource() = default;
  /// Feeds each blob to `sink` as it arrives, verified at end_object. Errors as ProtocolClient::fetch.
  virtual Result<void> fetch_blobs(std::span<const ObjectId> oids, PackSink& sink, Cancellation& cancellation) = 0;
  /// Whether sizes() works here (may ask the server once, and fail to).
  virtual Result<bool> has_sizes() = 0;
  /// One optional an oid, in order.
  virtual Result<std::vector<std::optional<uint64_t>>> sizes(std::span<const ObjectId> oids,
                                                             Cancellation& cancellation) = 0;
};

/// Thread-safe.
class BlobSink {
 public:
  class Writer {
   public:
    virtual ~Writer() = default;
    virtual Result<void> append(std::span<const std::byte> content) = 0;
    /// Makes the content, which hashes to `oid`, visible.
    virtual Result<void> commit(const ObjectId& oid) = 0;
  };
  virtual ~BlobSink() = default;
  virtual std::optional<uint64_t> find(const ObjectId& oid) = 0;
  virtual Result<std::unique_ptr<Writer>> begin(uint64_t size_bytes) = 0;
  virtual Result<size_t> read(const ObjectId& oid, uint64_t offset, std::span<std::byte> into) = 0;
  /// Persists sizes; they are on disk when it returns.
  virtual Result<void> record_sizes(std::span<const std::pair<ObjectId, uint64_t>> sizes) = 0;
};

/// A remote that speaks protocol v2 with any-oid wants.
class RemoteObjectSource final : public ObjectSource {
 public:
  explicit RemoteObjectSource(ProtocolClient& client) : client_(client) {}
  Result<void> fetch_blobs(std::span<const ObjectId> oids, PackSink& sink, Cancellation& cancellation) override;
  Result<bool> has_sizes() override;
  Result<std::vector<std::optional<uint64_t>>> sizes(std::span<const ObjectId> oids,
                                                     Cancellation& cancellation) override;

 private:
  ProtocolClient& client_;
};

}  // namespace artifactfs
