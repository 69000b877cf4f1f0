#include "fetch/inflater.h"

#include <zlib.h>

#include <algorithm>
#include <new>

namespace artifactfs {

namespace {
constexpr size_t kMaxStepBytes = size_t{1} << 30;  // zlib counts in unsigned int
}

Inflater::Inflater() : stream_(std::make_unique<z_stream>()) {
  if (inflateInit(stream_.get()) != Z_OK) throw std::bad_alloc();
}

Inflater::~Inflater() { inflateEnd(stream_.get()); }

void Inflater::reset() { inflateReset(stream_.get()); }

Result<Inflater::Step> Inflater::inflate(std::span<const std::byte> in, std::span<std::byte> out) {
  const auto in_bytes = static_cast<uInt>(std::min(in.size(), kMaxStepBytes));
  const auto out_bytes = static_cast<uInt>(std::min(out.size(), kMaxStepBytes));
  stream_->next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in.data()));
  stream_->avail_in = in_bytes;
  stream_->next_out = reinterpret_cast<Bytef*>(out.data());
  stream_->avail_out = out_bytes;
  const int status = ::inflate(stream_.get(), Z_NO_FLUSH);
  if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
    const char* words = status == Z_NEED_DICT ? "it needs a dictionary" : stream_->msg;
    return fail(ErrorCode::corrupt, "cannot inflate", words != nullptr ? words : "the stream is damaged");
  }
  return Step{in_bytes - stream_->avail_in, out_bytes - stream_->avail_out, status == Z_STREAM_END};
}

}  // namespace artifactfs
