#include "fetch/pack_index_writer.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <limits>
#include <span>

#include "base/sha1.h"
#include "base/unique_fd.h"

namespace artifactfs {

namespace {

constexpr std::string_view kSignature("\377tOc\0\0\0\2", 8);  // magic, version 2
constexpr uint64_t kLargeOffsetBit = uint64_t{1} << 31;       // from here offsets live in a table of their own
constexpr size_t kFanoutSize = 256;

template <typename Integer>
void append_big_endian(std::string& out, Integer value) {
  for (int shift = 8 * (static_cast<int>(sizeof value) - 1); shift >= 0; shift -= 8)
    out += static_cast<char>(static_cast<uint8_t>(value >> shift));
}

void append_oid(std::string& out, const ObjectId& oid) {
  out.append(reinterpret_cast<const char*>(oid.bytes.data()), ObjectId::kBytes);
}

void append_fanout(std::string& out, const std::vector<PackIndexEntry>& entries) {
  std::array<uint32_t, kFanoutSize> counts{};
  for (const auto& entry : entries) ++counts[std::to_integer<size_t>(entry.oid.bytes[0])];
  uint32_t total = 0;
  for (const uint32_t count : counts) append_big_endian(out, total += count);
}

}  // namespace

std::string pack_index_bytes(std::vector<PackIndexEntry> entries, const ObjectId& pack_checksum) {
  assert(entries.size() <= std::numeric_limits<uint32_t>::max());
  std::ranges::sort(entries, [](const PackIndexEntry& a, const PackIndexEntry& b) {
    return a.oid != b.oid ? a.oid < b.oid : a.pack_offset < b.pack_offset;
  });
  std::string out(kSignature);
  out.reserve(kSignature.size() + 4 * kFanoutSize + entries.size() * (ObjectId::kBytes + 8) + 2 * ObjectId::kBytes);
  append_fanout(out, entries);
  for (const auto& entry : entries) append_oid(out, entry.oid);
  for (const auto& entry : entries) append_big_endian(out, entry.crc32);
  std::vector<uint64_t> large_offsets;
  for (const auto& entry : entries) {
    if (entry.pack_offset < kLargeOffsetBit) {
      append_big_endian(out, static_cast<uint32_t>(entry.pack_offset));
    } else {
      append_big_endian(out, static_cast<uint32_t>(kLargeOffsetBit | large_offsets.size()));
      large_offsets.push_back(entry.pack_offset);
    }
  }
  for (const uint64_t offset : large_offsets) append_big_endian(out, offset);
  append_oid(out, pack_checksum);
  Sha1 sha1;
  sha1.update(std::as_bytes(std::span(out)));
  append_oid(out, sha1.finish());
  return out;
}

Result<void> write_pack_index(const std::filesystem::path& path, std::vector<PackIndexEntry> entries,
                              const ObjectId& pack_checksum) {
  return write_file_atomically(path, pack_index_bytes(std::move(entries), pack_checksum), 0444);
}

}  // namespace artifactfs
