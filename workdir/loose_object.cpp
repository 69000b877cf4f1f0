#include "workdir/loose_object.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace artifactfs {

namespace {

constexpr uint64_t kBlockBytes = 65535;
constexpr uint64_t kBlockHeaderBytes = 5;
constexpr uint64_t kChecksumBytes = 4;

std::array<char, kBlockHeaderBytes> block_header(bool is_last, uint64_t bytes) {
  const auto low = static_cast<char>(bytes);
  const auto high = static_cast<char>(bytes >> 8);
  return {static_cast<char>(is_last), low, high, static_cast<char>(~low), static_cast<char>(~high)};
}

}  // namespace

LooseObject::LooseObject(uint64_t blob_bytes) : blob_bytes_(blob_bytes), header_("blob " + std::to_string(blob_bytes)) {
  header_ += '\0';
  const auto first = block_header(blob_bytes == 0, header_.size());
  prefix_ = "\x78\x01";
  prefix_.append(first.data(), first.size()).append(header_);
  const uint64_t blocks = (blob_bytes + kBlockBytes - 1) / kBlockBytes;
  file_bytes_ = prefix_.size() + blocks * kBlockHeaderBytes + blob_bytes + kChecksumBytes;
}

uint64_t LooseObject::content_before(uint64_t position) const {
  if (position <= prefix_.size()) return 0;
  const uint64_t behind = position - prefix_.size();
  const uint64_t block = behind / (kBlockHeaderBytes + kBlockBytes);
  const uint64_t within = behind % (kBlockHeaderBytes + kBlockBytes);
  return std::min(blob_bytes_, block * kBlockBytes + (within > kBlockHeaderBytes ? within - kBlockHeaderBytes : 0));
}

std::pair<uint64_t, uint64_t> LooseObject::content_range(uint64_t begin, uint64_t end) const {
  return {content_before(begin), content_before(end)};
}

void LooseObject::fill(uint64_t begin, std::span<std::byte> out, std::span<const std::byte> content,
                       uint32_t checksum) const {
  // Copies what of `bytes`, which stands at `position` in the file, lies in `out`.
  const auto put = [&](uint64_t position, const void* bytes, uint64_t size) {
    const uint64_t from = std::max(position, begin);
    const uint64_t to = std::min(position + size, begin + out.size());
    if (from < to) {
      std::memcpy(out.data() + (from - begin), static_cast<const std::byte*>(bytes) + (from - position), to - from);
    }
  };
  put(0, prefix_.data(), prefix_.size());
  const uint64_t end = begin + out.size();
  uint64_t block = begin <= prefix_.size() ? 0 : (begin - prefix_.size()) / (kBlockHeaderBytes + kBlockBytes);
  const uint64_t content_begin = content_before(begin);
  size_t used = 0;
  for (; block * kBlockBytes < blob_bytes_; ++block) {
    const uint64_t position = prefix_.size() + block * (kBlockHeaderBytes + kBlockBytes);
    if (position >= end) break;
    const uint64_t bytes = std::min(kBlockBytes, blob_bytes_ - block * kBlockBytes);
    const auto header = block_header((block + 1) * kBlockBytes >= blob_bytes_, bytes);
    put(position, header.data(), header.size());
    // The part of this block's content that we were given.
    const uint64_t from = std::max(block * kBlockBytes, content_begin);
    const uint64_t size = std::min<uint64_t>(block * kBlockBytes + bytes - std::min(from, block * kBlockBytes + bytes),
                                             content.size() - used);
    put(position + kBlockHeaderBytes + (from - block * kBlockBytes), content.data() + used, size);
    used += size;
  }
  const std::array<unsigned char, kChecksumBytes> trailer = {
      static_cast<unsigned char>(checksum >> 24), static_cast<unsigned char>(checksum >> 16),
      static_cast<unsigned char>(checksum >> 8), static_cast<unsigned char>(checksum)};
  put(file_bytes_ - kChecksumBytes, trailer.data(), trailer.size());
}

}  // namespace artifactfs
