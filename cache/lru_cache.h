// LruCache: shared immutable values by key, the least recently used ones dropped when their bytes exceed a limit.
//
// Thread-safe behind one mutex, which is never held across I/O, decoding or the destruction of a value. A value stays
// alive for whoever holds its pointer.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace artifactfs {

template <typename Key, typename Value, typename Hash = std::hash<Key>>
class LruCache {
 public:
  using Pointer = std::shared_ptr<const Value>;

  explicit LruCache(size_t limit_bytes) : limit_bytes_(limit_bytes) {}

  /// Null when absent.
  Pointer get(const Key& key) EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->value;
  }

  /// `bytes` is what the value counts against the limit; a value larger than the limit is not kept.
  void put(const Key& key, Pointer value, size_t bytes) EXCLUDES(mutex_) {
    bytes += kEntryBytes;
    if (bytes > limit_bytes_) return;
    std::list<Entry> dropped;  // destroyed after the lock is released
    const MutexLock lock(mutex_);
    if (const auto found = entries_.find(key); found != entries_.end()) remove(found, dropped);
    while (bytes_ + bytes > limit_bytes_) remove(entries_.find(order_.back().key), dropped);
    order_.push_front(Entry{key, std::move(value), bytes});
    entries_.emplace(key, order_.begin());
    bytes_ += bytes;
  }

  void erase(const Key& key) EXCLUDES(mutex_) {
    std::list<Entry> dropped;
    const MutexLock lock(mutex_);
    if (const auto found = entries_.find(key); found != entries_.end()) remove(found, dropped);
  }

  size_t bytes() EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return bytes_;
  }

 private:
  struct Entry {
    Key key;
    Pointer value;
    size_t bytes;
  };
  using Entries = std::unordered_map<Key, typename std::list<Entry>::iterator, Hash>;
  // What an entry costs beside its value: list and map nodes, a bucket.
  static constexpr size_t kEntryBytes = sizeof(Entry) + 2 * sizeof(void*) + sizeof(Key) + 4 * sizeof(void*);

  void remove(typename Entries::iterator entry, std::list<Entry>& to) REQUIRES(mutex_) {
    bytes_ -= entry->second->bytes;
    to.splice(to.end(), order_, entry->second);
    entries_.erase(entry);
  }

  const size_t limit_bytes_;
  Mutex mutex_;
  std::list<Entry> order_ GUARDED_BY(mutex_);  // most recently used first
  Entries entries_ GUARDED_BY(mutex_);
  size_t bytes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace artifactfs
