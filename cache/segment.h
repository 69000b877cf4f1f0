// Segment files (blobs/segments/<number>.seg): frames of blob contents, appended by one process, read by all.
//
// Format, little-endian; all checksums are zlib's CRC-32:
//   header, 20 bytes:  u32 magic 'ASG1' | u32 version 1 | u64 random id | u32 checksum of the 16 bytes before
//   frames, each:      u32 magic 'AFR1' | u32 content length | u32 stored length | u32 flags (1: zstd, else as it is)
//                      | u32 checksum | stored bytes
// A frame's checksum covers the segment's id, the frame's offset in the file, its lengths and flags, and its stored
// bytes, so that a frame is valid only where it was written. Rows in blobs.db repeat it, so that a row which outlived
// its segment cannot read another frame. Between frames may lie garbage (of writes that failed): who scans a segment
// looks for the next magic whose checksum fits.
//
// CRC-32 rather than zstd's own content checksum, because frames stored as they are need one too and because the bytes
// are judged before the decompressor sees them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "base/error.h"
#include "base/unique_fd.h"

namespace artifactfs {

inline constexpr size_t kSegmentHeaderBytes = 20;
inline constexpr size_t kFrameHeaderBytes = 20;

/// Where a frame is and how it must look.
struct FrameLocation {
  uint64_t offset = 0;  // of its header in the segment
  uint32_t stored_bytes = 0;
  uint32_t checksum = 0;
  bool compressed = false;
  friend bool operator==(const FrameLocation&, const FrameLocation&) = default;
};

/// One segment this process appends to; flock'ed for as long as it lives, which keeps others from deleting it while its
/// rows are not in blobs.db. Thread-safe: a place is reserved by one atomic addition, writes then go side by side.
class SegmentWriter {
 public:
  /// Claims `path` by creating it. ErrorCode::already_exists when someone else has the name.
  static Result<std::shared_ptr<SegmentWriter>> create(const std::filesystem::path& path, uint32_t number);

  /// Writes one frame. `frame` has kFrameHeaderBytes of room before the stored bytes. ErrorCode::no_space when the disk
  /// is full; the segment stays usable.
  Result<FrameLocation> append(std::span<std::byte> frame, uint32_t content_bytes, bool compressed);

  uint32_t number() const { return number_; }
  uint64_t end() const { return end_.load(std::memory_order_relaxed); }

 private:
  SegmentWriter(UniqueFd fd, std::filesystem::path path, uint32_t number, uint64_t id)
      : fd_(std::move(fd)), path_(std::move(path)), number_(number), id_(id) {}

  const UniqueFd fd_;
  const std::filesystem::path path_;
  const uint32_t number_;
  const uint64_t id_;
  std::atomic<uint64_t> end_ = kSegmentHeaderBytes;
};

/// One segment open for reading. Thread-safe (constant after construction).
class SegmentReader {
 public:
  /// ErrorCode::not_found when there is no such file, ErrorCode::corrupt when it is no segment.
  static Result<std::shared_ptr<const SegmentReader>> open(const std::filesystem::path& path);

  /// Reads a frame's stored bytes, checked, into `buffer` (at least kFrameHeaderBytes + stored_bytes); returns them.
  /// ErrorCode::corrupt when anything about the frame is not as `location` says, or the disk cannot read it.
  Result<std::span<const std::byte>> read(const FrameLocation& location, uint32_t content_bytes,
                                          std::span<std::byte> buffer) const;

 private:
  SegmentReader(UniqueFd fd, std::filesystem::path path, uint64_t id)
      : fd_(std::move(fd)), path_(std::move(path)), id_(id) {}

  const UniqueFd fd_;
  const std::filesystem::path path_;
  const uint64_t id_;
};

}  // namespace artifactfs
