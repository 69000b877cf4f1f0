// ObjectOutput: one object on its way from a pack to the PackSink: hashed, and handed on whole when it is small enough
// to be kept as a delta base, else in chunks. Not thread-safe; used again for each object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"
#include "base/sha1.h"
#include "fetch/base_cache.h"
#include "fetch/pack_reader.h"

namespace artifactfs {

class ObjectOutput {
 public:
  static constexpr size_t kChunkBytes = size_t{64} << 10;

  /// Objects of at most `max_whole_bytes` are gathered whole.
  ObjectOutput(PackSink& sink, uint64_t max_whole_bytes) : sink_(sink), max_whole_bytes_(max_whole_bytes) {}

  Result<void> begin(ObjectType type, uint64_t size_bytes);
  uint64_t left_bytes() const { return left_bytes_; }
  /// Where the object's next bytes may be written; never more than are left of the object.
  std::span<std::byte> space();
  /// `bytes` have been written to space().
  Result<void> advance(size_t bytes);
  /// Copies `bytes`, of which no more than left_bytes() may come.
  Result<void> write(std::span<const std::byte> bytes);
  /// All has been written: hands on what is left to hand on and returns the name.
  Result<ObjectId> end();
  /// After end(): the content, if it was gathered whole.
  std::shared_ptr<const ObjectBytes> take_whole() { return std::move(whole_); }

  ObjectType type() const { return type_; }
  uint64_t size_bytes() const { return size_bytes_; }

 private:
  Result<void> flush_chunk();

  PackSink& sink_;
  const uint64_t max_whole_bytes_;
  Sha1 sha1_;
  ObjectType type_ = ObjectType::blob;
  uint64_t size_bytes_ = 0;
  uint64_t left_bytes_ = 0;
  std::shared_ptr<ObjectBytes> whole_;
  std::vector<std::byte> chunk_;  // of objects that are not gathered whole
  size_t chunk_used_ = 0;
};

}  // namespace artifactfs
