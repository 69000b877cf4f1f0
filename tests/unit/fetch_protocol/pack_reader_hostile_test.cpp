// Packs that lie: each must be refused with the reason, and never deliver an object under a wrong name.
#include <gtest/gtest.h>

#include "base/sha1.h"
#include "fetch/pack_reader.h"
#include "pack_builder.h"
#include "recording_sink.h"

namespace artifactfs {
namespace {

using testing::base_distance;
using testing::bytes_of;
using testing::deflated;
using testing::DeltaBuilder;
using testing::entry_header;
using testing::kOffsetDelta;
using testing::PackBuilder;
using testing::read_pack;
using testing::RecordingSink;

void expect_refused(const std::string& pack, const std::string& cause, ErrorCode code = ErrorCode::corrupt,
                    const PackReaderLimits& limits = {}) {
  for (const size_t slice : {size_t{0}, size_t{1}}) {
    RecordingSink sink;
    const auto read = read_pack(pack, sink, limits, slice);
    ASSERT_FALSE(read) << cause;
    EXPECT_EQ(read.error().code, code) << read.error().text();
    EXPECT_NE(read.error().text().find(cause), std::string::npos) << read.error().text();
    EXPECT_TRUE(sink.breaches.empty()) << sink.breaches.front();
  }
}

/// A pack of one entry that is just these bytes.
std::string one_entry(const std::string& bytes) {
  PackBuilder pack(1);
  pack.add_raw(bytes);
  return pack.finish();
}

TEST(HostilePack, WrongSignatureOrVersion) {
  expect_refused("PUCK" + PackBuilder(0).finish().substr(4), "it does not begin with 'PACK'");
  expect_refused(std::string("PACK\0\0\0\4\0\0\0\0", 12), "its version is 4");
}

TEST(HostilePack, WrongTypes) {
  expect_refused(one_entry(entry_header(0, 1) + deflated("x")), "its type is 0");
  expect_refused(one_entry(entry_header(5, 1) + deflated("x")), "its type is 5");
}

TEST(HostilePack, SizesThatOverflow) {
  expect_refused(one_entry("\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), "its size overflows");
  expect_refused(one_entry("\xbf\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), "its size overflows");
  expect_refused(one_entry(std::string("\xbf\xff\xff\xff\xff\xff\xff\xff\x7f", 9)), "more than the limit",
                 ErrorCode::out_of_range);
  expect_refused(one_entry(entry_header(kOffsetDelta, 5) + std::string(12, '\xff')),
                 "the distance to its base overflows");
}

TEST(HostilePack, InflatingToAnotherSize) {
  expect_refused(one_entry(entry_header(3, 4) + deflated("hello")), "it inflates to more than its header says");
  expect_refused(one_entry(entry_header(3, 0) + deflated("hello")), "it inflates to more than its header says");
  expect_refused(one_entry(entry_header(3, 6) + deflated("hello")), "it inflates to less than its header says");
}

TEST(HostilePack, ABombStopsAtItsHeadersSize) {
  const std::string bomb = deflated(std::string(size_t{64} << 20, '\0'));
  for (const uint64_t whole : {uint64_t{0}, uint64_t{1} << 20}) {
    RecordingSink sink;
    ASSERT_FALSE(read_pack(one_entry(entry_header(3, 1000) + bomb), sink, {.max_cached_base_bytes = whole}));
    EXPECT_TRUE(sink.entries.empty());
  }
}

TEST(HostilePack, WhatIsNoZlibStream) {
  expect_refused(one_entry(entry_header(3, 5) + "this is not deflated"), "cannot inflate: ");
}

TEST(HostilePack, BasesThatAreNotThere) {
  const std::string delta = DeltaBuilder(4, 4).copy(0, 4).text();
  auto with_distance = [&](uint64_t distance) {
    PackBuilder pack(2);
    pack.add(ObjectType::blob, "base");
    pack.add_raw(entry_header(kOffsetDelta, delta.size()) + base_distance(distance) + deflated(delta));
    return pack.finish();
  };
  const uint64_t second = PackBuilder(2).size() + entry_header(3, 4).size() + deflated("base").size();
  {
    RecordingSink sink;
    ASSERT_TRUE(read_pack(with_distance(second - 12), sink));  // the builder itself is right
  }
  expect_refused(with_distance(0), "its base lies outside of the pack");
  expect_refused(with_distance(second + 1), "its base lies outside of the pack");
  expect_refused(with_distance(second), "no object begins at its base's offset 0");
  expect_refused(with_distance(second - 13), "no object begins at its base's offset 13");
  expect_refused(with_distance(1), "no object begins at its base's offset");

  PackBuilder missing(1);
  const ObjectId oid = hash_object(ObjectType::blob, bytes_of("nowhere"));
  missing.add_reference_delta(oid, delta);
  expect_refused(missing.finish(), "base " + oid.hex() + " is missing");
}

TEST(HostilePack, DeltasWithFalseFigures) {
  auto with_delta = [](const std::string& delta) {
    PackBuilder pack(2);
    const uint64_t base = pack.add(ObjectType::blob, "base");
    pack.add_offset_delta(base, delta);
    return pack.finish();
  };
  expect_refused(with_delta(DeltaBuilder(5, 4).copy(0, 4).text()), "it is made for a base of 5 bytes, the base has 4");
  expect_refused(with_delta(DeltaBuilder(4, 9).copy(0, 9).text()), "it copies from beyond its base");
  expect_refused(with_delta(DeltaBuilder(4, 9).copy(0, 4).text()), "it produces 4 of 9 bytes");
  expect_refused(with_delta(""), "it ends early");
  expect_refused(with_delta(DeltaBuilder(4, uint64_t{1} << 50).copy(0, 4).text()), "more than the limit",
                 ErrorCode::out_of_range);
}

TEST(HostilePack, WaitingDeltasHaveALimit) {
  const ObjectId nowhere = hash_object(ObjectType::blob, bytes_of("nowhere"));
  PackBuilder pack(2);
  for (int i = 0; i < 2; ++i)
    pack.add_reference_delta(nowhere, DeltaBuilder(4, 100).insert(std::string(100, 'x')).text());
  expect_refused(pack.finish(), "too many deltas wait", ErrorCode::out_of_range, {.max_pending_deltas_bytes = 400});
  PackBuilder huge(1);
  huge.add_raw(entry_header(testing::kReferenceDelta, uint64_t{1} << 39) + std::string(20, 'x'));
  expect_refused(huge.finish(), "too many deltas wait", ErrorCode::out_of_range);
}

TEST(HostilePack, ACircleOfDeltasWaitsForEver) {
  // Neither names itself: no content hashes to a name chosen before it. But both wait for what never comes.
  PackBuilder pack(2);
  const ObjectId a = hash_object(ObjectType::blob, bytes_of("a"));
  const uint64_t first = pack.add_reference_delta(a, DeltaBuilder(1, 1).copy(0, 1).text());
  pack.add_offset_delta(first, DeltaBuilder(1, 1).copy(0, 1).text());
  expect_refused(pack.finish(), "is missing");
}

TEST(HostilePack, WrongCountsAndChecksums) {
  PackBuilder more(2);
  more.add(ObjectType::blob, "only one");
  expect_refused(more.finish(), "");
  PackBuilder fewer(1);
  fewer.add(ObjectType::blob, "one");
  fewer.add(ObjectType::blob, "two");
  expect_refused(fewer.finish(), "its checksum does not fit");
  PackBuilder good(1);
  good.add(ObjectType::blob, "one");
  std::string wrong = good.finish();
  wrong.back() = static_cast<char>(wrong.back() ^ 1);
  expect_refused(wrong, "its checksum does not fit");
  expect_refused(good.finish() + "x", "there are bytes after its checksum");
}

TEST(HostilePack, AnEnormousCountCostsNothing) {
  RecordingSink sink;
  ASSERT_FALSE(read_pack(PackBuilder(0xffffffff).finish().substr(0, 12), sink));
  EXPECT_EQ(sink.announced, 0xffffffff);
}

}  // namespace
}  // namespace artifactfs
