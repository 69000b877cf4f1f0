// PendingDeltas: deltas whose base has not been read yet, because it comes later in the pack (reference deltas) or is
// itself such a delta (offset deltas). Bounded; not thread-safe; owned by one PackReader.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/object_id.h"
#include "fetch/base_cache.h"

namespace artifactfs {

struct PendingDelta {
  uint32_t entry;     // its number in the pack
  uint32_t crc32;     // of its bytes in the pack
  ObjectBytes delta;  // inflated
};

class PendingDeltas {
 public:
  explicit PendingDeltas(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  bool empty() const { return by_oid_.empty() && by_entry_.empty(); }
  /// Reserves room for a delta of `bytes`; false when the limit does not allow it. add() uses the reservation.
  bool reserve(uint64_t bytes);
  void add(const ObjectId& base, PendingDelta delta) { by_oid_.emplace(base, std::move(delta)); }
  void add(uint32_t base_entry, PendingDelta delta) { by_entry_.emplace(base_entry, std::move(delta)); }
  /// One of those that wait for this base, which is no longer held here then; nullopt when none is left.
  std::optional<PendingDelta> take(const ObjectId& oid, uint32_t entry);
  /// A base that somebody waits for.
  std::optional<ObjectId> some_missing_base() const;

 private:
  static constexpr uint64_t kOverheadBytes = 128;  // map nodes, so that empty deltas are not free

  template <typename Map, typename Key>
  std::optional<PendingDelta> take_from(Map& map, const Key& key);

  const uint64_t limit_bytes_;
  uint64_t used_bytes_ = 0;
  std::unordered_multimap<ObjectId, PendingDelta> by_oid_;
  std::unordered_multimap<uint32_t, PendingDelta> by_entry_;
};

}  // namespace artifactfs
