// SegmentDirectory: blobs/segments/, which segment to append to, open descriptors for reading, and the removal of
// segments no one needs.
//
// Thread-safe; no lock is held across disk I/O.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "cache/segment.h"

namespace artifactfs {

class SegmentDirectory {
 public:
  /// Segments kept open for reading; more are opened and closed as they are used.
  static constexpr size_t kMaxOpenReaders = 32;
  /// Names tried before a claim is given up (each one taken by another process at the same moment).
  static constexpr int kMaxClaimAttempts = 1000;

  static Result<std::unique_ptr<SegmentDirectory>> open(const std::filesystem::path& path, uint64_t segment_bytes);

  /// The segment this process appends to; a new one when the last has reached segment_bytes. Who holds it may go on
  /// appending whatever its size.
  Result<std::shared_ptr<SegmentWriter>> writer() EXCLUDES(mutex_);

  /// Errors as SegmentReader::open.
  Result<std::shared_ptr<const SegmentReader>> reader(uint32_t number) EXCLUDES(mutex_);
  /// Closes it, so that the next reader() looks at the disk again.
  void forget_reader(uint32_t number) EXCLUDES(mutex_);

  /// Deletes the segments that no process writes to and of which `is_referenced` is false (asked while their lock is
  /// held, so no one can begin to refer to them).
  void collect_garbage(const std::function<bool(uint32_t number)>& is_referenced);

 private:
  SegmentDirectory(std::filesystem::path path, uint64_t segment_bytes)
      : path_(std::move(path)), segment_bytes_(segment_bytes) {}
  std::filesystem::path path_of(uint32_t number) const;
  Result<std::vector<uint32_t>> list() const;
  Result<std::shared_ptr<SegmentWriter>> claim(uint32_t first_number) const;

  const std::filesystem::path path_;
  const uint64_t segment_bytes_;

  Mutex mutex_;
  std::shared_ptr<SegmentWriter> writer_ GUARDED_BY(mutex_);
  uint32_t next_number_ GUARDED_BY(mutex_) = 1;
  using OpenReader = std::pair<uint32_t, std::shared_ptr<const SegmentReader>>;
  std::list<OpenReader> readers_ GUARDED_BY(mutex_);  // most recently used first; short, so searched in order
};

}  // namespace artifactfs
