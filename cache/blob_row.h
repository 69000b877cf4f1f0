// BlobRow: where one blob's frames are, and its row in blobs.db.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/object_id.h"
#include "cache/segment.h"

namespace artifactfs {

struct BlobRow {
  uint32_t segment = 0;
  uint64_t size_bytes = 0;
  std::vector<FrameLocation> frames;  // each of BlobStore::kFrameBytes of content, the last of what remains

  /// Content bytes of frame `index`.
  uint32_t frame_content_bytes(size_t index) const;
  /// What the frames take in the segment, with their headers.
  uint64_t disk_bytes() const;
  size_t memory_bytes() const { return sizeof(BlobRow) + frames.capacity() * sizeof(FrameLocation); }
  friend bool operator==(const BlobRow&, const BlobRow&) = default;
};

/// The row's `frames` column: u32 CRC-32 of oid, segment, size and all that follows; then for each frame
///   varint bytes between the end of the frame before (the segment's start for the first) and this one's header,
///     zigzag, since frames of one blob may lie in any order
///   | varint (stored length * 2 + 1 if zstd) | u32 frame checksum (segment.h).
/// Varints are LEB128, integers little-endian.
std::vector<std::byte> encode_frames(const ObjectId& oid, const BlobRow& row);

/// nullopt unless the columns are exactly what encode_frames made for this oid.
std::optional<BlobRow> decode_row(const ObjectId& oid, int64_t segment, int64_t size,
                                  std::span<const std::byte> frames);

}  // namespace artifactfs
