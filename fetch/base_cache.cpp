#include "fetch/base_cache.h"

#include <utility>

namespace artifactfs {

std::shared_ptr<const ObjectBytes> BaseCache::find(uint32_t entry) {
  const auto found = by_entry_.find(entry);
  if (found == by_entry_.end()) return nullptr;
  recent_first_.splice(recent_first_.begin(), recent_first_, found->second);
  return found->second->object;
}

void BaseCache::insert(uint32_t entry, std::shared_ptr<const ObjectBytes> object) {
  const uint64_t cost = object->size + kEntryOverheadBytes;
  if (cost > limit_bytes_ || by_entry_.contains(entry)) return;
  while (used_bytes_ + cost > limit_bytes_) {
    const Node& oldest = recent_first_.back();
    used_bytes_ -= oldest.object->size + kEntryOverheadBytes;
    by_entry_.erase(oldest.entry);
    recent_first_.pop_back();
  }
  recent_first_.push_front({entry, std::move(object)});
  by_entry_.emplace(entry, recent_first_.begin());
  used_bytes_ += cost;
}

}  // namespace artifactfs
