// DeltaBase: the object that a delta copies from, whole in memory or, when it is too large for that, read back from the
// PackSink in pieces. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"
#include "fetch/base_cache.h"
#include "fetch/object_output.h"
#include "fetch/pack_reader.h"

namespace artifactfs {

class DeltaBase {
 public:
  /// Copies within this much of each other cost one read_base() call.
  static constexpr size_t kWindowBytes = size_t{64} << 10;

  /// No base.
  DeltaBase() = default;
  explicit DeltaBase(std::shared_ptr<const ObjectBytes> whole) : whole_(std::move(whole)) {}
  DeltaBase(PackSink& sink, const ObjectId& oid, ObjectType type, uint64_t size_bytes)
      : sink_(&sink), oid_(oid), type_(type), size_bytes_(size_bytes) {}

  /// Appends `size_bytes` at `offset` of the base, which has them, to `output`.
  Result<void> copy_to(ObjectOutput& output, uint64_t offset, uint64_t size_bytes);

 private:
  Result<void> fill_window(uint64_t offset);

  std::shared_ptr<const ObjectBytes> whole_;
  PackSink* sink_ = nullptr;
  ObjectId oid_;
  ObjectType type_ = ObjectType::blob;
  uint64_t size_bytes_ = 0;
  std::vector<std::byte> window_;
  uint64_t window_offset_ = 0;
};

/// Reads `into.size()` bytes at `offset` of an ended object back from the sink, all of them or an error.
Result<void> read_base_exactly(PackSink& sink, const ObjectId& oid, ObjectType type, uint64_t offset,
                               std::span<std::byte> into);

}  // namespace artifactfs
