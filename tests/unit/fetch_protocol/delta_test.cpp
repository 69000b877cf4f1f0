#include "fetch/delta.h"

#include <gtest/gtest.h>

#include "pack_builder.h"

namespace artifactfs {
namespace {

using testing::bytes_of;
using testing::DeltaBuilder;

/// Applies to a base in memory.
class Applier : public DeltaInstructions {
 public:
  explicit Applier(std::string base) : base_(std::move(base)) {}
  Result<void> result_size(uint64_t) override { return {}; }
  Result<void> copy(uint64_t offset, uint64_t size) override {
    EXPECT_LE(offset + size, base_.size());
    result += base_.substr(offset, size);
    return {};
  }
  Result<void> insert(std::span<const std::byte> bytes) override {
    result.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }
  std::string result;

 private:
  std::string base_;
};

Result<std::string> applied(std::string base, std::string_view delta, size_t slice = 1000) {
  DeltaParser parser;
  parser.begin(base.size(), 12);
  Applier applier(std::move(base));
  for (size_t begin = 0; begin < delta.size(); begin += slice)
    TRY(parser.feed(bytes_of(delta.substr(begin, slice)), applier));
  TRY(parser.finish());
  return applier.result;
}

TEST(Delta, CopiesAndInsertsInAnySlices) {
  std::string base;
  for (int i = 0; i < 100'000; ++i) base += static_cast<char>('a' + i % 23);
  const auto delta = DeltaBuilder(base.size(), 0x10000 + 5 + 70'000 + 1)
                         .copy(300, 0x10000)
                         .insert("hello")
                         .copy(0, 70'000)
                         .copy(0xff00, 1)
                         .text();
  const std::string expected = base.substr(300, 0x10000) + "hello" + base.substr(0, 70'000) + base.substr(0xff00, 1);
  for (size_t slice = 1; slice <= delta.size(); ++slice) {
    const auto result = applied(base, delta, slice);
    ASSERT_TRUE(result) << result.error().text();
    EXPECT_EQ(*result, expected);
  }
}

TEST(Delta, AnEmptyResultIsAResult) { EXPECT_EQ(applied("base", DeltaBuilder(4, 0).text()).value(), ""); }

TEST(Delta, EveryFalseFigureIsRefused) {
  using B = DeltaBuilder;
  const std::vector<std::pair<std::string, std::string>> cases{
      {B(5, 4).copy(0, 4).text(), "it is made for a base of 5 bytes, the base has 4"},
      {B(4, 5).copy(0, 5).text(), "it copies from beyond its base"},
      {B(4, 1).copy(4, 1).text(), "it copies from beyond its base"},
      {B(4, 1).copy(0xffffffff, 1).text(), "it copies from beyond its base"},
      {B(4, 3).copy(0, 4).text(), "it produces more than it promised"},
      {B(4, 3).insert("abcd").text(), "it produces more than it promised"},
      {B(4, 5).copy(0, 4).text(), "it produces 4 of 5 bytes"},
      {B(4, 5).copy(0, 4).raw("\3a").text(), "it produces more than it promised"},
      {B(4, 6).copy(0, 4).raw("\2a").text(), "it ends early"},
      {B(4, 4).raw("\x91").text(), "it ends early"},
      {B(4, 4).raw(std::string(1, '\0')).text(), "it has the reserved instruction 0"},
      {"", "it ends early"},
      {"\4", "it ends early"},
      {"\4\x80", "it ends early"},
      {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "a size overflows"},
      {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "a size overflows"},
  };
  for (const auto& [delta, cause] : cases) {
    for (const size_t slice : {size_t{1}, size_t{100}}) {
      const auto result = applied("base", delta, slice);
      ASSERT_FALSE(result) << cause;
      EXPECT_EQ(result.error().code, ErrorCode::corrupt);
      EXPECT_EQ(result.error().cause, cause);
    }
  }
}

}  // namespace
}  // namespace artifactfs
