#include "fetch/object_output.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace artifactfs {

Result<void> ObjectOutput::begin(ObjectType type, uint64_t size_bytes) {
  type_ = type;
  size_bytes_ = left_bytes_ = size_bytes;
  chunk_used_ = 0;
  whole_.reset();
  sha1_.begin_object(type, size_bytes);
  TRY(sink_.begin_object(type, size_bytes));
  if (size_bytes <= max_whole_bytes_) {
    whole_ = std::make_shared<ObjectBytes>(static_cast<size_t>(size_bytes));
  } else if (chunk_.empty()) {
    chunk_.resize(kChunkBytes);
  }
  return {};
}

std::span<std::byte> ObjectOutput::space() {
  if (whole_) return {whole_->data.get() + (size_bytes_ - left_bytes_), static_cast<size_t>(left_bytes_)};
  return std::span(chunk_).subspan(chunk_used_,
                                   static_cast<size_t>(std::min<uint64_t>(chunk_.size() - chunk_used_, left_bytes_)));
}

Result<void> ObjectOutput::advance(size_t bytes) {
  assert(bytes <= left_bytes_);
  left_bytes_ -= bytes;
  if (whole_) return {};
  chunk_used_ += bytes;
  if (chunk_used_ == chunk_.size()) return flush_chunk();
  return {};
}

Result<void> ObjectOutput::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::span<std::byte> free = space();
    const size_t n = std::min(free.size(), bytes.size());
    assert(n > 0);
    std::memcpy(free.data(), bytes.data(), n);
    TRY(advance(n));
    bytes = bytes.subspan(n);
  }
  return {};
}

Result<void> ObjectOutput::flush_chunk() {
  const auto chunk = std::span<const std::byte>(chunk_).first(std::exchange(chunk_used_, 0));
  if (chunk.empty()) return {};
  sha1_.update(chunk);
  return sink_.content(chunk);
}

Result<ObjectId> ObjectOutput::end() {
  assert(left_bytes_ == 0);
  if (whole_) {
    sha1_.update(whole_->view());
    if (whole_->size > 0) TRY(sink_.content(whole_->view()));
  } else {
    TRY(flush_chunk());
  }
  return sha1_.finish();
}

}  // namespace artifactfs
