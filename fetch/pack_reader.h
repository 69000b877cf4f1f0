// PackReader: a streaming parser of git pack files (gitformat-pack(5)). Pure: bytes in, objects out, no I/O of its own.
//
// Every object's name is recomputed from its content; the pack's trailing checksum is verified by finish(). Deltas
// (offset and reference) are resolved against objects of the same pack: recent bases are kept in memory up to
// kBaseCacheBytes, older ones are asked back from the sink. Memory is bounded whatever the sizes of the objects:
// content is handed out in chunks, and deltas are applied as streams.
//
// Not thread-safe; one instance a pack.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"

namespace artifactfs {

/// Where objects go. For each object: begin_object, content (any number of times, in order), then end_object with its
/// verified name. An error from any of them ends the parse with that error.
class PackSink {
 public:
  virtual ~PackSink() = default;
  /// The pack's header has been read.
  virtual Result<void> begin_pack(uint32_t object_count) {
    (void)object_count;
    return {};
  }
  /// The header (for a delta: its result size) is known; the name is not yet.
  virtual Result<void> begin_object(ObjectType type, uint64_t size_bytes) = 0;
  virtual Result<void> content(std::span<const std::byte> chunk) = 0;
  /// `pack_offset`: of the entry's first byte; `crc32`: of its bytes as they stand in the pack (for a .idx).
  virtual Result<void> end_object(const ObjectId& oid, uint64_t pack_offset, uint32_t crc32) = 0;

  /// Reads content of an object of this pack that has ended before: up to into.size() bytes at `offset`.
  virtual Result<size_t> read_base(const ObjectId& oid, ObjectType type, uint64_t offset,
                                   std::span<std::byte> into) = 0;
};

struct PackReaderLimits {
  uint64_t base_cache_bytes = uint64_t{32} << 20;          // whole objects kept as possible delta bases
  uint64_t max_cached_base_bytes = uint64_t{8} << 20;      // a larger object is never kept whole
  uint64_t max_pending_deltas_bytes = uint64_t{32} << 20;  // reference deltas whose base has not come yet
  uint64_t max_object_bytes = uint64_t{1} << 40;
  uint32_t max_delta_depth = 4096;
};

class PackReader {
 public:
  explicit PackReader(PackSink& sink, const PackReaderLimits& limits = {});
  ~PackReader();
  PackReader(PackReader&&) noexcept;

  /// Takes the next bytes of the pack, cut anywhere. After an error every further call fails.
  Result<void> feed(std::span<const std::byte> bytes);
  /// The pack has ended: fails unless all objects came and the checksum fits.
  Result<void> finish();

  uint64_t objects_done() const;
  uint64_t bytes_fed() const;
  /// The pack's SHA-1 trailer (after finish()).
  ObjectId pack_checksum() const;

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace artifactfs
