// The parts under BlobStore: rows, codec, segments and their directory.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "base/unique_fd.h"
#include "blob_test_content.h"
#include "cache/blob_row.h"
#include "cache/frame_cache.h"
#include "cache/frame_codec.h"
#include "cache/segment_directory.h"
#include "temporary_directory.h"

namespace artifactfs {
namespace {

BlobRow sample_row() {
  BlobRow row;
  row.segment = 7;
  row.size_bytes = 2 * BlobStore::kFrameBytes + 5;
  row.frames = {{20, 1000, 0xdeadbeef, true},
                {uint64_t{1} << 40, static_cast<uint32_t>(BlobStore::kFrameBytes), 1, false},
                {5000, 5, 0, false}};  // behind the one before: frames may lie in any order
  return row;
}

TEST(BlobRow, DecodesOnlyWhatWasEncodedForThatBlob) {
  const ObjectId oid = id_of({});
  const BlobRow row = sample_row();
  const auto frames = encode_frames(oid, row);
  EXPECT_EQ(decode_row(oid, row.segment, static_cast<int64_t>(row.size_bytes), frames), row);
  const BlobRow empty;
  EXPECT_EQ(decode_row(oid, 0, 0, encode_frames(oid, empty)), empty);

  const auto size = static_cast<int64_t>(row.size_bytes);
  EXPECT_FALSE(decode_row(id_of(text_content(1, 1)), row.segment, size, frames));
  EXPECT_FALSE(decode_row(oid, row.segment + 1, size, frames));
  EXPECT_FALSE(decode_row(oid, row.segment, size + 1, frames));
  EXPECT_FALSE(decode_row(oid, -1, size, frames));
  EXPECT_FALSE(decode_row(oid, row.segment, -1, frames));
  for (size_t i = 0; i < frames.size(); ++i) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      auto flipped = frames;
      flipped[i] ^= static_cast<std::byte>(1U << bit);
      EXPECT_FALSE(decode_row(oid, row.segment, size, flipped));
    }
    EXPECT_FALSE(decode_row(oid, row.segment, size, std::span(frames).first(i)));
  }
}

TEST(FrameCodec, TakesOnlyWhatShrinks) {
  FrameCodec codec;
  auto lease = codec.lease();
  const auto text = text_content(1, 100'000);
  std::vector<std::byte> stored(text.size());
  const auto size = lease.compress(text, stored);
  ASSERT_TRUE(size);
  EXPECT_LT(*size, text.size());
  std::vector<std::byte> content(text.size());
  EXPECT_TRUE(lease.decompress({stored.data(), *size}, content));
  EXPECT_EQ(content, text);
  content.resize(text.size() - 1);
  EXPECT_FALSE(lease.decompress({stored.data(), *size}, content));
  content.resize(text.size() + 1);
  EXPECT_FALSE(lease.decompress({stored.data(), *size}, content));
  EXPECT_FALSE(lease.compress(random_content(1, 100'000), stored));
  EXPECT_FALSE(lease.compress(random_content(1, 1), stored));
}

TEST(FrameCache, KeepsItsLimitAndTheMostRecentlyUsed) {
  FrameCache cache(10'000);
  const auto value = std::make_shared<const std::vector<std::byte>>(1);
  for (size_t i = 0; i < 100; ++i) {
    cache.put({id_of({}), i}, value, 1000);
    EXPECT_NE(cache.get({id_of({}), 0}), nullptr);  // used all the time
    EXPECT_LE(cache.bytes(), 10'000U);
  }
  EXPECT_EQ(cache.get({id_of({}), 1}), nullptr);
  EXPECT_NE(cache.get({id_of({}), 99}), nullptr);
  cache.erase({id_of({}), 99});
  EXPECT_EQ(cache.get({id_of({}), 99}), nullptr);
  cache.put({id_of({}), 0}, value, 20'000);
  EXPECT_NE(cache.get({id_of({}), 0}), nullptr);  // too large to replace it
}

std::vector<std::byte> frame_of(const std::vector<std::byte>& stored) {
  std::vector<std::byte> frame(kFrameHeaderBytes + stored.size());
  std::copy(stored.begin(), stored.end(), frame.begin() + kFrameHeaderBytes);
  return frame;
}

class SegmentTest : public ::testing::Test {
 protected:
  std::filesystem::path path(uint32_t number) const { return directory_.path() / fmt::format("{:08}.seg", number); }
  TemporaryDirectory directory_;
};

TEST_F(SegmentTest, FramesOfManyThreadsReadBackFromTheirPlaces) {
  const auto writer = SegmentWriter::create(path(1), 1);
  ASSERT_TRUE(writer);
  std::vector<std::vector<FrameLocation>> places(4);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < places.size(); ++t) {
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < 100; ++i) {
        auto frame = frame_of(random_content(t * 1000 + i, 100 + i));
        const auto place = (*writer)->append(frame, 100 + i, false);
        EXPECT_TRUE(place);
        places[t].push_back(place.value_or(FrameLocation{}));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto reader = SegmentReader::open(path(1));
  ASSERT_TRUE(reader);
  std::vector<std::byte> buffer(1000);
  for (unsigned t = 0; t < places.size(); ++t) {
    for (unsigned i = 0; i < 100; ++i) {
      const auto stored = (*reader)->read(places[t][i], 100 + i, buffer);
      ASSERT_TRUE(stored) << stored.error().text();
      const auto content = random_content(t * 1000 + i, 100 + i);
      EXPECT_TRUE(std::equal(stored->begin(), stored->end(), content.begin(), content.end()));
    }
  }
}

TEST_F(SegmentTest, AFrameOfAnotherSegmentAtTheSamePlaceIsNotTaken) {
  const auto content = random_content(1, 100);
  std::vector<FrameLocation> places;
  for (uint32_t number : {1U, 2U}) {
    const auto writer = SegmentWriter::create(path(number), number);
    ASSERT_TRUE(writer);
    auto frame = frame_of(content);
    const auto place = (*writer)->append(frame, 100, false);
    ASSERT_TRUE(place);
    places.push_back(*place);
  }
  EXPECT_EQ(places[0].offset, places[1].offset);
  const auto reader = SegmentReader::open(path(2));
  ASSERT_TRUE(reader);
  std::vector<std::byte> buffer(200);
  EXPECT_TRUE((*reader)->read(places[1], 100, buffer));
  const auto wrong = (*reader)->read(places[0], 100, buffer);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::corrupt);
}

TEST_F(SegmentTest, ANewSegmentIsBegunPastTheLimitAndHoldersGoOnWithTheOld) {
  const auto segments = SegmentDirectory::open(directory_.path(), 1000);
  ASSERT_TRUE(segments);
  const auto first = (*segments)->writer();
  ASSERT_TRUE(first);
  auto frame = frame_of(random_content(1, 2000));
  ASSERT_TRUE((*first)->append(frame, 2000, false));
  const auto second = (*segments)->writer();
  ASSERT_TRUE(second);
  EXPECT_NE((*second)->number(), (*first)->number());
  EXPECT_EQ((*(*segments)->writer())->number(), (*second)->number());
  EXPECT_TRUE((*first)->append(frame, 2000, false));
}

TEST_F(SegmentTest, NamesTakenByOthersAreSteppedOver) {
  const auto one = SegmentDirectory::open(directory_.path(), 1000);
  const auto two = SegmentDirectory::open(directory_.path(), 1000);
  ASSERT_TRUE(one && two);
  const auto first = (*one)->writer(), second = (*two)->writer();
  ASSERT_TRUE(first && second);
  EXPECT_NE((*first)->number(), (*second)->number());
}

TEST_F(SegmentTest, GarbageIsCollectedUnlessLockedOrReferenced) {
  const auto segments = SegmentDirectory::open(directory_.path(), 1000);
  ASSERT_TRUE(segments);
  auto locked = SegmentWriter::create(path(5), 5);
  ASSERT_TRUE(locked && SegmentWriter::create(path(6), 6) && SegmentWriter::create(path(7), 7));
  (*segments)->collect_garbage([](uint32_t number) { return number == 6; });
  EXPECT_TRUE(std::filesystem::exists(path(5)));
  EXPECT_TRUE(std::filesystem::exists(path(6)));
  EXPECT_FALSE(std::filesystem::exists(path(7)));
  locked->reset();
  (*segments)->collect_garbage([](uint32_t) { return false; });
  EXPECT_FALSE(std::filesystem::exists(path(5)));
}

TEST_F(SegmentTest, AHeaderThatIsDamagedOrShortMakesNoSegment) {
  ASSERT_TRUE(SegmentWriter::create(path(1), 1));
  const auto header = read_file(path(1));
  ASSERT_TRUE(header);
  ASSERT_EQ(header->size(), kSegmentHeaderBytes);
  for (size_t i = 0; i < header->size(); ++i) {
    auto flipped = *header;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
    for (const auto& content : {flipped, header->substr(0, i)}) {
      ASSERT_TRUE(write_file_atomically(path(2), content));
      EXPECT_EQ(SegmentReader::open(path(2)).error().code, ErrorCode::corrupt);
    }
  }
  EXPECT_EQ(SegmentReader::open(path(3)).error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace artifactfs
