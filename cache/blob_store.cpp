#include "cache/blob_store.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <unordered_set>

#include "base/log.h"
#include "base/unique_fd.h"
#include "cache/blob_index.h"
#include "cache/frame_cache.h"
#include "cache/frame_codec.h"
#include "cache/segment_directory.h"

namespace artifactfs {

namespace {

// Reads of one blob that are tried anew when what they found was dropped and a newer row took its place.
constexpr int kMaxReadAttempts = 3;

class SegmentBlobStore final : public BlobStore {
 public:
  SegmentBlobStore(std::unique_ptr<SegmentDirectory> segments, std::unique_ptr<BlobIndex> index)
      : segments_(std::move(segments)), index_(std::move(index)), frames_(kFrameCacheBytes) {}

  std::optional<uint64_t> find(const ObjectId& oid) override {
    const auto row = index_->find(oid);
    return row == nullptr ? std::nullopt : std::optional(row->size_bytes);
  }

  std::vector<ObjectId> missing(std::span<const ObjectId> oids) override { return index_->missing(oids); }

  Result<size_t> read(const ObjectId& oid, uint64_t offset, std::span<std::byte> into) override;
  Result<std::unique_ptr<Writer>> begin(uint64_t size_bytes) override;
  Result<void> put(const ObjectId& oid, std::span<const std::byte> content) override;

  Result<void> flush() override { return index_->flush(); }
  Stats stats() override { return index_->stats(); }

 private:
  class BlobWriter;

  Result<size_t> read_row(const ObjectId& oid, const BlobRow& row, uint64_t offset, std::span<std::byte> into);
  Result<void> read_frame(const ObjectId& oid, const BlobRow& row, size_t index, uint32_t from,
                          std::span<std::byte> into);
  Result<void> load_frame(const BlobRow& row, size_t index, std::span<std::byte> content);
  void drop_damaged(const ObjectId& oid, const std::shared_ptr<const BlobRow>& row, const Error& error);

  const std::unique_ptr<SegmentDirectory> segments_;
  const std::unique_ptr<BlobIndex> index_;
  FrameCodec codec_;
  FrameCache frames_;

  Mutex warned_mutex_;
  std::unordered_set<uint32_t> warned_segments_ GUARDED_BY(warned_mutex_);  // at most one a segment file
};

// Frames go to the segment as they fill; a blob of one frame is kept until commit, and written only if no one else has
// stored it meanwhile.
class SegmentBlobStore::BlobWriter final : public BlobStore::Writer {
 public:
  BlobWriter(SegmentBlobStore& store, uint64_t size_bytes) : store_(store) {
    row_.size_bytes = size_bytes;
    row_.frames.reserve(std::min<uint64_t>(size_bytes / kFrameBytes + 1, 1024));
  }

  Result<void> append(std::span<const std::byte> content) override {
    if (content.size() > row_.size_bytes - taken_) return spoil(wrong_size("it is longer than announced"));
    taken_ += content.size();
    while (!content.empty()) {
      if (buffer_.empty() && content.size() >= kFrameBytes && row_.size_bytes > kFrameBytes) {
        TRY(write_frame(content.first(kFrameBytes)));
        content = content.subspan(kFrameBytes);
        continue;
      }
      if (buffer_.empty()) buffer_.reserve(std::min(kFrameBytes, row_.size_bytes));
      const auto part = content.first(std::min<size_t>(content.size(), kFrameBytes - buffer_.size()));
      buffer_.insert(buffer_.end(), part.begin(), part.end());
      content = content.subspan(part.size());
      if (buffer_.size() == kFrameBytes && row_.size_bytes > kFrameBytes) {
        TRY(write_frame(buffer_));
        buffer_.clear();
      }
    }
    return {};
  }

  Result<void> commit(const ObjectId& oid) override {
    if (spoiled_) return fail(ErrorCode::io, "cannot store blob '" + oid.hex() + "'", "a part of it was not written");
    if (taken_ != row_.size_bytes) return spoil(wrong_size("it is shorter than announced"));
    return commit_last(oid, buffer_);
  }

  /// As append and commit, without a copy of the content. For a blob of one frame at most.
  Result<void> commit_last(const ObjectId& oid, std::span<const std::byte> last_frame) {
    if (store_.index_->find(oid) != nullptr) return {};
    if (!last_frame.empty()) TRY(write_frame(last_frame));
    if (auto added = store_.index_->add(oid, std::move(row_), writer_); !added) return spoil(added.error());
    spoiled_ = true;  // the content is gone: no second commit
    return {};
  }

 private:
  std::unexpected<Error> spoil(Error error) {
    spoiled_ = true;
    return fail(std::move(error));
  }
  Error wrong_size(const char* cause) const {
    return {ErrorCode::internal, "cannot store a blob of " + std::to_string(row_.size_bytes) + " bytes", cause};
  }

  Result<void> write_frame(std::span<const std::byte> content) {
    if (spoiled_) return fail(ErrorCode::io, "cannot store a blob", "an earlier part of it was not written");
    if (writer_ == nullptr) {
      auto writer = store_.segments_->writer();
      if (!writer) return spoil(writer.error());
      writer_ = std::move(*writer);
      row_.segment = writer_->number();
    }
    auto codec = store_.codec_.lease();
    const auto frame = codec.scratch(kFrameHeaderBytes + content.size());
    const auto room = frame.subspan(kFrameHeaderBytes);
    const std::optional<size_t> compressed = shrinks_ ? codec.compress(content, room) : std::nullopt;
    // A content whose first frame does not shrink is taken for compressed already.
    if (row_.frames.empty() && !compressed) shrinks_ = false;
    if (!compressed) std::memcpy(room.data(), content.data(), content.size());
    auto written = writer_->append(frame.first(kFrameHeaderBytes + compressed.value_or(content.size())),
                                   static_cast<uint32_t>(content.size()), compressed.has_value());
    if (!written) return spoil(written.error());
    row_.frames.push_back(*written);
    return {};
  }

  SegmentBlobStore& store_;
  BlobRow row_;
  uint64_t taken_ = 0;
  std::vector<std::byte> buffer_;  // the frame that is filling
  std::shared_ptr<SegmentWriter> writer_;
  bool shrinks_ = true;
  bool spoiled_ = false;
};

Result<std::unique_ptr<BlobStore::Writer>> SegmentBlobStore::begin(uint64_t size_bytes) {
  return std::make_unique<BlobWriter>(*this, size_bytes);
}

Result<void> SegmentBlobStore::put(const ObjectId& oid, std::span<const std::byte> content) {
  BlobWriter writer(*this, content.size());
  if (content.size() <= kFrameBytes) return writer.commit_last(oid, content);
  TRY(writer.append(content));
  return writer.commit(oid);
}

Result<size_t> SegmentBlobStore::read(const ObjectId& oid, uint64_t offset, std::span<std::byte> into) {
  for (int attempt = 0; attempt < kMaxReadAttempts; ++attempt) {
    const auto row = index_->find(oid);
    if (row == nullptr) break;
    auto got = read_row(oid, *row, offset, into);
    if (got) return got;
    if (got.error().code != ErrorCode::corrupt && got.error().code != ErrorCode::not_found) return got;
    drop_damaged(oid, row, got.error());
  }
  return fail(ErrorCode::not_found, "cannot find blob '" + oid.hex() + "'");
}

Result<size_t> SegmentBlobStore::read_row(const ObjectId& oid, const BlobRow& row, uint64_t offset,
                                          std::span<std::byte> into) {
  if (offset >= row.size_bytes) return 0;
  into = into.first(std::min<uint64_t>(into.size(), row.size_bytes - offset));
  for (size_t done = 0; done < into.size();) {
    const uint64_t at = offset + done;
    const size_t index = at / kFrameBytes;
    const auto from = static_cast<uint32_t>(at % kFrameBytes);
    const auto part = into.subspan(done, std::min<size_t>(into.size() - done, row.frame_content_bytes(index) - from));
    TRY(read_frame(oid, row, index, from, part));
    done += part.size();
  }
  return into.size();
}

Result<void> SegmentBlobStore::read_frame(const ObjectId& oid, const BlobRow& row, size_t index, uint32_t from,
                                          std::span<std::byte> into) {
  const FrameKey key{oid, index};
  if (const auto cached = frames_.get(key)) {
    std::memcpy(into.data(), cached->data() + from, into.size());
    return {};
  }
  const uint32_t content_bytes = row.frame_content_bytes(index);
  if (into.size() == content_bytes) return load_frame(row, index, into);
  auto content = std::make_shared<std::vector<std::byte>>(content_bytes);
  TRY(load_frame(row, index, *content));
  std::memcpy(into.data(), content->data() + from, into.size());
  frames_.put(key, std::move(content), content_bytes);
  return {};
}

Result<void> SegmentBlobStore::load_frame(const BlobRow& row, size_t index, std::span<std::byte> content) {
  TRY_ASSIGN(const auto segment, segments_->reader(row.segment));
  const FrameLocation& location = row.frames[index];
  auto codec = codec_.lease();
  const auto buffer = codec.scratch(kFrameHeaderBytes + location.stored_bytes);
  TRY_ASSIGN(const auto stored, segment->read(location, static_cast<uint32_t>(content.size()), buffer));
  if (location.compressed ? codec.decompress(stored, content) : stored.size() == content.size()) {
    if (!location.compressed) std::memcpy(content.data(), stored.data(), stored.size());
    return {};
  }
  return fail(ErrorCode::corrupt, "cannot decompress a frame of segment " + std::to_string(row.segment));
}

void SegmentBlobStore::drop_damaged(const ObjectId& oid, const std::shared_ptr<const BlobRow>& row,
                                    const Error& error) {
  bool first = false;
  {
    const MutexLock lock(warned_mutex_);
    first = warned_segments_.insert(row->segment).second;
  }
  const std::string text = error.within("dropping the cached blob '" + oid.hex() + "'").text();
  if (first) {
    log::warning("{}; more of segment {} may follow unsaid", text, row->segment);
  } else {
    log::debug("{}", text);
  }
  segments_->forget_reader(row->segment);
  index_->drop(oid, row);
}

}  // namespace

Result<std::unique_ptr<BlobStore>> BlobStore::open(const std::filesystem::path& directory) {
  TRY(make_directories(directory));
  TRY_ASSIGN(auto segments, SegmentDirectory::open(directory / "segments", kSegmentBytes));
  TRY_ASSIGN(auto index, BlobIndex::open(directory / "blobs.db"));
  segments->collect_garbage([&](uint32_t number) { return index->is_referenced(number); });
  return std::make_unique<SegmentBlobStore>(std::move(segments), std::move(index));
}

}  // namespace artifactfs
