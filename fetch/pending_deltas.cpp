#include "fetch/pending_deltas.h"

namespace artifactfs {

bool PendingDeltas::reserve(uint64_t bytes) {
  const uint64_t free = limit_bytes_ - used_bytes_;
  if (bytes > free || free - bytes < kOverheadBytes) return false;
  used_bytes_ += bytes + kOverheadBytes;
  return true;
}

template <typename Map, typename Key>
std::optional<PendingDelta> PendingDeltas::take_from(Map& map, const Key& key) {
  if (map.empty()) return std::nullopt;
  const auto found = map.find(key);
  if (found == map.end()) return std::nullopt;
  PendingDelta delta = std::move(found->second);
  map.erase(found);
  used_bytes_ -= delta.delta.size + kOverheadBytes;
  return delta;
}

std::optional<PendingDelta> PendingDeltas::take(const ObjectId& oid, uint32_t entry) {
  auto delta = take_from(by_oid_, oid);
  return delta ? std::move(delta) : take_from(by_entry_, entry);
}

std::optional<ObjectId> PendingDeltas::some_missing_base() const {
  if (by_oid_.empty()) return std::nullopt;
  return by_oid_.begin()->first;
}

}  // namespace artifactfs
