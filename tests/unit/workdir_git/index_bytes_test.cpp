#include "workdir/index_bytes.h"

#include <gtest/gtest.h>

#include "workdir/git_index.h"

namespace artifactfs {
namespace {

using namespace std::string_literals;

std::string varint(uint64_t value) {
  std::string out;
  put_varint(out, value);
  return out;
}

TEST(IndexBytes, VarintsAreGits) {
  EXPECT_EQ(varint(0), "\x00"s);
  EXPECT_EQ(varint(127), "\x7f"s);
  EXPECT_EQ(varint(128), "\x80\x00"s);
  EXPECT_EQ(varint(16511), "\xff\x7f"s);
  EXPECT_EQ(varint(16512), "\x80\x80\x00"s);
}

TEST(IndexBytes, ASizeOfFourGigabytesIsNotAnEmptyFile) {
  EXPECT_EQ(index_size(0), 0u);
  EXPECT_EQ(index_size(5), 5u);
  EXPECT_EQ(index_size((uint64_t{1} << 32) + 5), 5u);
  EXPECT_EQ(index_size(uint64_t{1} << 32), 0x80000000u);
}

TEST(IndexBytes, AnEmptyBitmapHasOneWord) {
  std::string out;
  put_bitmap(out, {});
  EXPECT_EQ(out, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0"s);
}

TEST(IndexBytes, BitsAreLiteralWords) {
  std::string out;
  std::vector<bool> bits(65);
  bits[0] = bits[64] = true;
  put_bitmap(out, bits);
  EXPECT_EQ(out, "\0\0\0\x41\0\0\0\3\0\0\0\4\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0"s);
}

}  // namespace
}  // namespace artifactfs
