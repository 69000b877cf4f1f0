#include "workdir/index_bytes.h"

#include "workdir/git_index.h"

namespace artifactfs {

void put_u16(std::string& out, uint16_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value);
}

void put_u32(std::string& out, uint32_t value) {
  put_u16(out, static_cast<uint16_t>(value >> 16));
  put_u16(out, static_cast<uint16_t>(value));
}

void put_u64(std::string& out, uint64_t value) {
  put_u32(out, static_cast<uint32_t>(value >> 32));
  put_u32(out, static_cast<uint32_t>(value));
}

void put_oid(std::string& out, const ObjectId& oid) {
  out.append(reinterpret_cast<const char*>(oid.bytes.data()), oid.bytes.size());
}

void put_varint(std::string& out, uint64_t value) {
  char digits[16];
  size_t position = sizeof digits - 1;
  digits[position] = static_cast<char>(value & 127);
  while ((value >>= 7) != 0) digits[--position] = static_cast<char>(128 | (--value & 127));
  out.append(digits + position, sizeof digits - position);
}

void put_bitmap(std::string& out, const std::vector<bool>& bits) {
  const size_t words = (bits.size() + 63) / 64;
  put_u32(out, static_cast<uint32_t>(bits.size()));
  put_u32(out, static_cast<uint32_t>(words + 1));
  // One run-length word: no run (bits 0 to 32), then `words` literal words (31 bits from bit 33).
  put_u64(out, uint64_t{words} << 33);
  for (size_t word = 0; word < words; ++word) {
    uint64_t value = 0;
    for (size_t bit = 0; bit < 64 && word * 64 + bit < bits.size(); ++bit) {
      if (bits[word * 64 + bit]) value |= uint64_t{1} << bit;
    }
    put_u64(out, value);
  }
  put_u32(out, 0);  // where the last run-length word is
}

void put_stat_data(std::string& out, const IndexStat& stat) {
  put_u32(out, static_cast<uint32_t>(stat.ctime.seconds));
  put_u32(out, stat.ctime.nanoseconds);
  put_u32(out, static_cast<uint32_t>(stat.mtime.seconds));
  put_u32(out, stat.mtime.nanoseconds);
  put_u32(out, stat.device);
  put_u32(out, stat.inode);
  put_u32(out, stat.uid);
  put_u32(out, stat.gid);
  put_u32(out, static_cast<uint32_t>(stat.size_bytes));
}

uint32_t index_size(uint64_t size_bytes) {
  const auto low = static_cast<uint32_t>(size_bytes);
  return low == 0 && size_bytes != 0 ? uint32_t{1} << 31 : low;
}

}  // namespace artifactfs
