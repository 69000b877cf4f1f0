#include "cache/frame_codec.h"

#include <zstd.h>

namespace artifactfs {

namespace {
constexpr int kLevel = 1;
}  // namespace

FrameCodec::Context::~Context() {
  ::ZSTD_freeCCtx(compress);
  ::ZSTD_freeDCtx(decompress);
}

FrameCodec::Lease FrameCodec::lease() {
  {
    const MutexLock lock(mutex_);
    if (!idle_.empty()) {
      auto context = std::move(idle_.back());
      idle_.pop_back();
      return Lease(this, std::move(context));
    }
  }
  return Lease(this, std::make_unique<Context>());
}

void FrameCodec::give_back(std::unique_ptr<Context> context) {
  const MutexLock lock(mutex_);
  if (idle_.size() < kMaxIdleContexts) idle_.push_back(std::move(context));
}

std::span<std::byte> FrameCodec::Lease::scratch(size_t size) {
  if (context_->scratch.size() < size) context_->scratch.resize(size);
  return {context_->scratch.data(), size};
}

std::optional<size_t> FrameCodec::Lease::compress(std::span<const std::byte> content, std::span<std::byte> into) {
  if (context_->compress == nullptr) {
    context_->compress = ::ZSTD_createCCtx();
    if (context_->compress == nullptr) return std::nullopt;  // out of memory: the frame is stored as it is
    ::ZSTD_CCtx_setParameter(context_->compress, ZSTD_c_compressionLevel, kLevel);
  }
  // With no more room than is worthwhile, zstd gives up by itself.
  const size_t room = content.size() * kWorthwhilePercent / 100;
  const size_t size = ::ZSTD_compress2(context_->compress, into.data(), room, content.data(), content.size());
  if (::ZSTD_isError(size) != 0U) return std::nullopt;
  return size;
}

bool FrameCodec::Lease::decompress(std::span<const std::byte> stored, std::span<std::byte> into) {
  if (context_->decompress == nullptr) {
    context_->decompress = ::ZSTD_createDCtx();
    if (context_->decompress == nullptr) return false;
  }
  const size_t size =
      ::ZSTD_decompressDCtx(context_->decompress, into.data(), into.size(), stored.data(), stored.size());
  return ::ZSTD_isError(size) == 0U && size == into.size();
}

}  // namespace artifactfs
