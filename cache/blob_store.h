// BlobStore: verified blob contents, compressed, on disk. Disposable: everything in it can be fetched again.
//
// Append-only segment files hold zstd frames (or raw bytes for what does not shrink); blobs.db says where each blob's
// frames are. A blob is visible only after commit(); what is read is checked against a checksum, and a damaged blob is
// dropped and reported as absent, so that it is fetched again. No fsync: after a power loss the checksums decide.
// Blobs larger than kFrameBytes are cut into independent frames, so a read in the middle decompresses one frame.
//
// Several mounts and several processes may use one store: each process appends to segments of its own (held by flock),
// all read all, and two writers of one blob end with one row.
//
// Thread-safe. Committed blobs are readable at once (from a table of rows not yet written to blobs.db, which is written
// in groups by a thread of its own).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"

namespace artifactfs {

class BlobStore {
 public:
  static constexpr uint64_t kFrameBytes = uint64_t{1} << 20;
  static constexpr uint64_t kSegmentBytes = uint64_t{256} << 20;  // a new segment is begun past this
  /// Decompressed frames kept for sequential reads.
  static constexpr size_t kFrameCacheBytes = size_t{16} << 20;

  struct Stats {
    uint64_t blobs = 0;
    uint64_t content_bytes = 0;  // uncompressed
    uint64_t disk_bytes = 0;     // in segments
  };

  static Result<std::unique_ptr<BlobStore>> open(const std::filesystem::path& directory);
  virtual ~BlobStore() = default;

  /// The blob's size in bytes if it is present.
  virtual std::optional<uint64_t> find(const ObjectId& oid) = 0;
  /// Of `oids`, those that are absent, in order.
  virtual std::vector<ObjectId> missing(std::span<const ObjectId> oids) = 0;
  /// Reads up to into.size() bytes at `offset`; short only at the end of the blob. ErrorCode::not_found when the blob
  /// is absent (also when it turned out damaged and was dropped).
  virtual Result<size_t> read(const ObjectId& oid, uint64_t offset, std::span<std::byte> into) = 0;

  /// Takes one blob's content in order. Destroyed without commit, nothing is visible. One thread at a time. Must
  /// not outlive the store.
  class Writer {
   public:
    virtual ~Writer() = default;
    virtual Result<void> append(std::span<const std::byte> content) = 0;
    /// Makes the content visible as `oid`. The caller has verified that it hashes to `oid`.
    virtual Result<void> commit(const ObjectId& oid) = 0;
  };
  /// `size_bytes` is the whole content's size.
  virtual Result<std::unique_ptr<Writer>> begin(uint64_t size_bytes) = 0;
  /// begin + append + commit.
  virtual Result<void> put(const ObjectId& oid, std::span<const std::byte> content) = 0;

  /// Writes the rows of committed blobs to blobs.db now.
  virtual Result<void> flush() = 0;
  virtual Stats stats() = 0;
};

}  // namespace artifactfs
