#include "pack_builder.h"

#include <zlib.h>

#include "base/sha1.h"

namespace artifactfs::testing {

namespace {
std::string varint(uint64_t value) {
  std::string out;
  do {
    out += static_cast<char>((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    value >>= 7;
  } while (value != 0);
  return out;
}
}  // namespace

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string deflated(std::string_view content) {
  uLongf size = compressBound(content.size());
  std::string out(size, '\0');
  compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(content.data()), content.size(),
            1);
  out.resize(size);
  return out;
}

std::string entry_header(unsigned type, uint64_t size_bytes) {
  const uint64_t rest = size_bytes >> 4;
  std::string out(1, static_cast<char>(type << 4 | (size_bytes & 15) | (rest != 0 ? 0x80 : 0)));
  return rest != 0 ? out + varint(rest) : out;
}

std::string base_distance(uint64_t distance) {
  std::string out(1, static_cast<char>(distance & 0x7f));
  while ((distance >>= 7) != 0) {
    --distance;
    out.insert(out.begin(), static_cast<char>(0x80 | (distance & 0x7f)));
  }
  return out;
}

PackBuilder::PackBuilder(uint32_t object_count) : bytes_("PACK\0\0\0\2", 8) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes_ += static_cast<char>(object_count >> shift & 0xff);
}

uint64_t PackBuilder::add_raw(std::string_view bytes) {
  const uint64_t offset = bytes_.size();
  bytes_ += bytes;
  return offset;
}

uint64_t PackBuilder::add(ObjectType type, std::string_view content) {
  return add_raw(entry_header(static_cast<unsigned>(type), content.size()) + deflated(content));
}

uint64_t PackBuilder::add_offset_delta(uint64_t base_offset, std::string_view delta) {
  return add_raw(entry_header(kOffsetDelta, delta.size()) + base_distance(bytes_.size() - base_offset) +
                 deflated(delta));
}

uint64_t PackBuilder::add_reference_delta(const ObjectId& base, std::string_view delta) {
  const std::string oid(reinterpret_cast<const char*>(base.bytes.data()), ObjectId::kBytes);
  return add_raw(entry_header(kReferenceDelta, delta.size()) + oid + deflated(delta));
}

std::string PackBuilder::finish() const {
  Sha1 sha1;
  sha1.update(bytes_of(bytes_));
  const ObjectId checksum = sha1.finish();
  return bytes_ + std::string(reinterpret_cast<const char*>(checksum.bytes.data()), ObjectId::kBytes);
}

DeltaBuilder::DeltaBuilder(uint64_t base_bytes, uint64_t result_bytes)
    : bytes_(varint(base_bytes) + varint(result_bytes)) {}

DeltaBuilder& DeltaBuilder::copy(uint32_t offset, uint32_t size_bytes) {
  unsigned opcode = 0x80;
  std::string operands;
  for (unsigned i = 0; i < 4; ++i) {
    if (const auto byte = static_cast<char>(offset >> (8 * i) & 0xff); byte != 0) {
      opcode |= 1U << i;
      operands += byte;
    }
  }
  for (unsigned i = 0; i < 3; ++i) {
    if (const auto byte = static_cast<char>(size_bytes >> (8 * i) & 0xff); byte != 0 && size_bytes != 0x10000) {
      opcode |= 0x10U << i;
      operands += byte;
    }
  }
  bytes_ += static_cast<char>(opcode);
  bytes_ += operands;
  return *this;
}

DeltaBuilder& DeltaBuilder::insert(std::string_view text) {
  bytes_ += static_cast<char>(text.size());  // at most 127
  bytes_ += text;
  return *this;
}

DeltaBuilder& DeltaBuilder::raw(std::string_view bytes) {
  bytes_ += bytes;
  return *this;
}

}  // namespace artifactfs::testing
