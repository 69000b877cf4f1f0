#include "workdir/loose_object.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <span>
#include <vector>

namespace artifactfs {
namespace {

std::vector<std::byte> content_of(size_t bytes) {
  std::vector<std::byte> out(bytes);
  for (size_t i = 0; i < bytes; ++i) out[i] = static_cast<std::byte>(i * 7 + i / 251);
  return out;
}

uint32_t checksum_of(const LooseObject& object, std::span<const std::byte> content) {
  auto sum = ::adler32_z(1, reinterpret_cast<const unsigned char*>(object.header().data()), object.header().size());
  if (content.empty()) return static_cast<uint32_t>(sum);  // adler32 takes a null pointer for a beginning
  return static_cast<uint32_t>(
      ::adler32_z(sum, reinterpret_cast<const unsigned char*>(content.data()), content.size()));
}

/// The file, made in reads of `piece` bytes that each get only the content that they asked for.
std::vector<std::byte> file_of(const std::vector<std::byte>& content, size_t piece) {
  const LooseObject object(content.size());
  std::vector<std::byte> file(object.file_bytes());
  for (size_t begin = 0; begin < file.size(); begin += piece) {
    const size_t size = std::min(piece, file.size() - begin);
    const auto [from, to] = object.content_range(begin, begin + size);
    object.fill(begin, std::span(file).subspan(begin, size), std::span(content).subspan(from, to - from),
                checksum_of(object, content));
  }
  return file;
}

TEST(LooseObject, InflatesToHeaderAndContent) {
  for (const size_t bytes : {0u, 1u, 65534u, 65535u, 65536u, 131070u, 200000u}) {
    const auto content = content_of(bytes);
    for (const size_t piece : {1000003u, 4096u, 65535u, 70000u, 7u}) {
      if (piece == 7 && bytes > 70000) continue;
      const auto file = file_of(content, piece);
      std::vector<unsigned char> raw(bytes + 64);
      uLongf raw_bytes = raw.size();
      uLong file_bytes = file.size();
      ASSERT_EQ(::uncompress2(raw.data(), &raw_bytes, reinterpret_cast<const unsigned char*>(file.data()), &file_bytes),
                Z_OK)
          << bytes << " in pieces of " << piece;
      EXPECT_EQ(file_bytes, file.size()) << "git takes bytes behind the stream for damage";
      const std::string header = LooseObject(bytes).header();
      ASSERT_EQ(raw_bytes, header.size() + bytes);
      EXPECT_EQ(std::string(reinterpret_cast<const char*>(raw.data()), header.size()), header);
      EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(raw).subspan(header.size(), bytes)), content));
    }
  }
}

TEST(LooseObject, AStatNeedsOnlyTheSize) {
  EXPECT_EQ(LooseObject(0).file_bytes(), 2u + 5 + 7 + 4);
  EXPECT_EQ(LooseObject(10).file_bytes(), 2u + 5 + 8 + 5 + 10 + 4);
  EXPECT_GT(LooseObject(uint64_t{1} << 40).file_bytes(), uint64_t{1} << 40);
}

}  // namespace
}  // namespace artifactfs
