// BaseCache: recently read whole objects of a pack, kept because a delta's base is nearly always close to it. Least
// recently used go first. Not thread-safe; owned by one PackReader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <unordered_map>

namespace artifactfs {

/// A whole object's content. Not a vector: its bytes need no zeroing before they are written.
struct ObjectBytes {
  std::unique_ptr<std::byte[]> data;
  size_t size = 0;

  explicit ObjectBytes(size_t bytes) : data(std::make_unique_for_overwrite<std::byte[]>(bytes)), size(bytes) {}
  std::span<const std::byte> view() const { return {data.get(), size}; }
};

class BaseCache {
 public:
  explicit BaseCache(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  /// Keyed by the entry's number in the pack. Null when it is not there.
  std::shared_ptr<const ObjectBytes> find(uint32_t entry);
  /// Evicts others to make room; an object larger than the limit is not taken.
  void insert(uint32_t entry, std::shared_ptr<const ObjectBytes> object);

 private:
  static constexpr uint64_t kEntryOverheadBytes = 160;  // list and map nodes, so that empty objects are not free

  struct Node {
    uint32_t entry;
    std::shared_ptr<const ObjectBytes> object;
  };
  const uint64_t limit_bytes_;
  uint64_t used_bytes_ = 0;
  std::list<Node> recent_first_;
  std::unordered_map<uint32_t, std::list<Node>::iterator> by_entry_;
};

}  // namespace artifactfs
