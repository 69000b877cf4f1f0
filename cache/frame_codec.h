// FrameCodec: zstd for frames, with contexts and scratch buffers used again instead of allocated a frame.
//
// Level 1: see kLevel for what was measured. Thread-safe; a Lease belongs to one thread.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/mutex.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace artifactfs {

class FrameCodec {
 public:
  /// A frame that does not shrink to this share is kept as it is: reading it back is then free.
  static constexpr size_t kWorthwhilePercent = 95;
  /// Contexts kept for the next user. One takes about 1 MiB once it has compressed, its scratch up to another.
  static constexpr size_t kMaxIdleContexts = 4;

 private:
  struct Context {
    ZSTD_CCtx_s* compress = nullptr;
    ZSTD_DCtx_s* decompress = nullptr;
    std::vector<std::byte> scratch;
    Context() = default;
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    ~Context();
  };

 public:
  class Lease {
   public:
    Lease(FrameCodec* owner, std::unique_ptr<Context> context) : owner_(owner), context_(std::move(context)) {}
    Lease(Lease&&) noexcept = default;
    ~Lease() {
      if (context_ != nullptr) owner_->give_back(std::move(context_));
    }

    /// At least `size` bytes of unspecified content, valid until the next call.
    std::span<std::byte> scratch(size_t size);
    /// Compresses into `into`; the bytes written, or nullopt when that is not worthwhile. `into` must have room for
    /// kWorthwhilePercent of the content and may be the scratch.
    std::optional<size_t> compress(std::span<const std::byte> content, std::span<std::byte> into);
    /// False unless `stored` decompresses to exactly into.size() bytes.
    bool decompress(std::span<const std::byte> stored, std::span<std::byte> into);

   private:
    FrameCodec* owner_;
    std::unique_ptr<Context> context_;
  };

  Lease lease() EXCLUDES(mutex_);

 private:
  void give_back(std::unique_ptr<Context> context) EXCLUDES(mutex_);

  Mutex mutex_;
  std::vector<std::unique_ptr<Context>> idle_ GUARDED_BY(mutex_);
};

}  // namespace artifactfs
