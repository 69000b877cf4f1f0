// FrameCache: decompressed frames of blobs, kept for reads that go on where the last one ended.
//
// Keyed by the blob, not by the place on disk, so that an entry can never belong to other content. Thread-safe.
#pragma once

#include <cstddef>
#include <vector>

#include "base/object_id.h"
#include "cache/lru_cache.h"

namespace artifactfs {

struct FrameKey {
  ObjectId oid;
  size_t index = 0;  // of the frame in the blob
  friend bool operator==(const FrameKey&, const FrameKey&) = default;
};

struct FrameKeyHash {
  size_t operator()(const FrameKey& key) const noexcept {
    return ObjectIdHash{}(key.oid) + key.index * 0x9e3779b97f4a7c15U;
  }
};

using FrameCache = LruCache<FrameKey, std::vector<std::byte>, FrameKeyHash>;

}  // namespace artifactfs
