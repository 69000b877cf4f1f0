#include "cache/blob_row.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "cache/blob_store.h"
#include "cache/little_endian.h"

namespace artifactfs {

namespace {

void append_varint(std::vector<std::byte>& to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) to.push_back(static_cast<std::byte>(value | 0x80));
  to.push_back(static_cast<std::byte>(value));
}

std::optional<uint64_t> take_varint(std::span<const std::byte>& from) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !from.empty(); shift += 7) {
    const auto byte = std::to_integer<uint64_t>(from.front());
    from = from.subspan(1);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

uint64_t zigzag(uint64_t difference) { return (difference << 1) ^ (0 - (difference >> 63)); }
uint64_t unzigzag(uint64_t value) { return (value >> 1) ^ (0 - (value & 1)); }

uint32_t row_checksum(const ObjectId& oid, uint64_t segment, uint64_t size, std::span<const std::byte> frames) {
  std::array<std::byte, ObjectId::kBytes + 16> key;
  std::memcpy(key.data(), oid.bytes.data(), ObjectId::kBytes);
  store_le(key.data() + ObjectId::kBytes, segment);
  store_le(key.data() + ObjectId::kBytes + 8, size);
  const auto sum = ::crc32_z(0, reinterpret_cast<const Bytef*>(key.data()), key.size());
  // zlib answers 0 for a null pointer, whatever came before.
  if (frames.empty()) return static_cast<uint32_t>(sum);
  return static_cast<uint32_t>(::crc32_z(sum, reinterpret_cast<const Bytef*>(frames.data()), frames.size()));
}

}  // namespace

uint32_t BlobRow::frame_content_bytes(size_t index) const {
  return static_cast<uint32_t>(std::min(BlobStore::kFrameBytes, size_bytes - index * BlobStore::kFrameBytes));
}

uint64_t BlobRow::disk_bytes() const {
  uint64_t bytes = frames.size() * kFrameHeaderBytes;
  for (const FrameLocation& frame : frames) bytes += frame.stored_bytes;
  return bytes;
}

std::vector<std::byte> encode_frames(const ObjectId& oid, const BlobRow& row) {
  std::vector<std::byte> encoded(sizeof(uint32_t));
  uint64_t end = 0;
  for (const FrameLocation& frame : row.frames) {
    append_varint(encoded, zigzag(frame.offset - end));
    append_varint(encoded, uint64_t{frame.stored_bytes} * 2 + (frame.compressed ? 1 : 0));
    append_le(encoded, frame.checksum);
    end = frame.offset + kFrameHeaderBytes + frame.stored_bytes;
  }
  store_le(encoded.data(), row_checksum(oid, row.segment, row.size_bytes, std::span(encoded).subspan(4)));
  return encoded;
}

std::optional<BlobRow> decode_row(const ObjectId& oid, int64_t segment, int64_t size,
                                  std::span<const std::byte> frames) {
  if (segment < 0 || segment > UINT32_MAX || size < 0 || frames.size() < sizeof(uint32_t)) return std::nullopt;
  auto rest = frames.subspan(sizeof(uint32_t));
  BlobRow row;
  row.segment = static_cast<uint32_t>(segment);
  row.size_bytes = static_cast<uint64_t>(size);
  if (load_le<uint32_t>(frames.data()) != row_checksum(oid, row.segment, row.size_bytes, rest)) return std::nullopt;
  const uint64_t count = (row.size_bytes + BlobStore::kFrameBytes - 1) / BlobStore::kFrameBytes;
  if (count > rest.size()) return std::nullopt;
  row.frames.resize(count);
  uint64_t end = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto gap = take_varint(rest);
    const auto length = take_varint(rest);
    if (!gap || !length || rest.size() < sizeof(uint32_t)) return std::nullopt;
    FrameLocation& frame = row.frames[i];
    frame.offset = end + unzigzag(*gap);
    frame.compressed = (*length & 1) != 0;
    frame.stored_bytes = static_cast<uint32_t>(*length >> 1);
    frame.checksum = load_le<uint32_t>(rest.data());
    rest = rest.subspan(sizeof(uint32_t));
    // Neither form is ever longer than the content.
    if (*length >> 1 > row.frame_content_bytes(i)) return std::nullopt;
    end = frame.offset + kFrameHeaderBytes + frame.stored_bytes;
  }
  if (!rest.empty()) return std::nullopt;
  return row;
}

}  // namespace artifactfs
