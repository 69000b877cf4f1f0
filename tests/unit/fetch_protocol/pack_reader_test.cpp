#include "fetch/pack_reader.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <fstream>
#include <random>
#include <sstream>

#include "base/sha1.h"
#include "git_fixture.h"
#include "pack_builder.h"
#include "recording_sink.h"

namespace artifactfs {
namespace {

using testing::bytes_of;
using testing::DeltaBuilder;
using testing::GitFixture;
using testing::PackBuilder;
using testing::read_pack;
using testing::RecordingSink;

/// A pack of everything in the repository; reference deltas unless `offset_deltas`.
std::string pack_of(const GitFixture& repository, bool offset_deltas) {
  std::vector<std::string> arguments{"pack-objects", "--all", "--stdout", "-q", "--no-reuse-delta", "--depth=50"};
  if (offset_deltas) arguments.push_back("--delta-base-offset");
  return repository.git(arguments, "\n", true);
}

/// What git says is in the repository: "<oid> <type> <size>" lines.
std::map<ObjectId, std::pair<std::string, size_t>> listing(const GitFixture& repository) {
  std::map<ObjectId, std::pair<std::string, size_t>> objects;
  std::istringstream lines(repository.git({"cat-file", "--batch-check", "--batch-all-objects"}));
  std::string oid, type;
  size_t size = 0;
  while (lines >> oid >> type >> size) objects[*ObjectId::from_hex(oid)] = {type, size};
  return objects;
}

void expect_all_objects(const RecordingSink& sink, const GitFixture& repository) {
  EXPECT_TRUE(sink.breaches.empty()) << sink.breaches.front();
  const auto expected = listing(repository);
  EXPECT_EQ(sink.announced, expected.size());
  ASSERT_EQ(sink.objects.size(), expected.size());
  for (const auto& [oid, object] : sink.objects) {
    ASSERT_TRUE(expected.contains(oid));
    EXPECT_EQ(to_string(object.type), expected.at(oid).first);
    EXPECT_EQ(object.content.size(), expected.at(oid).second);
  }
}

class PackReaderOfGit : public ::testing::TestWithParam<bool> {
 protected:
  static void SetUpTestSuite() {
    repository = std::make_unique<GitFixture>();
    repository->fill(12);
  }
  static void TearDownTestSuite() { repository.reset(); }
  static std::unique_ptr<GitFixture> repository;
};
std::unique_ptr<GitFixture> PackReaderOfGit::repository;

TEST_P(PackReaderOfGit, DeliversEveryObjectHoweverItIsFed) {
  const std::string pack = pack_of(*repository, GetParam());
  for (const size_t slice : {size_t{0}, size_t{1}, size_t{2}, size_t{13}, size_t{1000}}) {
    RecordingSink sink;
    const auto read = read_pack(pack, sink, {}, slice);
    ASSERT_TRUE(read) << read.error().text();
    expect_all_objects(sink, *repository);
    EXPECT_EQ(sink.base_reads, 0U);
  }
}

TEST_P(PackReaderOfGit, DeliversEveryObjectInRandomSlices) {
  const std::string pack = pack_of(*repository, GetParam());
  std::mt19937 random(20260101);
  for (int round = 0; round < 50; ++round) {
    RecordingSink sink;
    PackReader reader(sink);
    for (size_t begin = 0; begin < pack.size();) {
      const size_t n = std::min<size_t>(1 + random() % (round % 2 != 0 ? 40 : 4000), pack.size() - begin);
      const auto fed = reader.feed(bytes_of(std::string_view(pack).substr(begin, n)));
      ASSERT_TRUE(fed) << fed.error().text();
      begin += n;
    }
    ASSERT_TRUE(reader.finish());
    EXPECT_EQ(reader.objects_done(), sink.announced);
    EXPECT_EQ(reader.bytes_fed(), pack.size());
    EXPECT_EQ(reader.pack_checksum(), ObjectId::from_raw(bytes_of(pack).last(20)));
    expect_all_objects(sink, *repository);
  }
}

TEST_P(PackReaderOfGit, ReadsBasesBackWhenTheCacheHoldsNone) {
  const std::string pack = pack_of(*repository, GetParam());
  for (const uint64_t max_cached : {uint64_t{1} << 20, uint64_t{100}, uint64_t{0}}) {
    RecordingSink sink;
    const auto read = read_pack(pack, sink, {.base_cache_bytes = 0, .max_cached_base_bytes = max_cached}, 777);
    ASSERT_TRUE(read) << read.error().text();
    expect_all_objects(sink, *repository);
    EXPECT_GT(sink.base_reads, 0U);
  }
}

TEST_P(PackReaderOfGit, ATruncatedPackIsNeverTakenForWhole) {
  GitFixture small;
  small.fill(3);
  const std::string pack = pack_of(small, GetParam());
  for (size_t length = 0; length < pack.size(); ++length) {
    RecordingSink sink;
    const auto read = read_pack(std::string_view(pack).substr(0, length), sink);
    ASSERT_FALSE(read) << length;
    EXPECT_EQ(read.error().code, ErrorCode::corrupt);
    ASSERT_TRUE(sink.breaches.empty()) << sink.breaches.front();
  }
}

TEST_P(PackReaderOfGit, AFlippedBitNeverPassesAndNeverYieldsAWrongName) {
  GitFixture small;
  small.fill(3);
  const std::string pack = pack_of(small, GetParam());
  for (size_t position = 0; position < pack.size(); ++position) {
    for (const int bit : {0, 3, 4, 7}) {
      std::string damaged = pack;
      damaged[position] = static_cast<char>(damaged[position] ^ (1 << bit));
      RecordingSink sink;
      ASSERT_FALSE(read_pack(damaged, sink, {.max_object_bytes = 1 << 20}, 500)) << position << " bit " << bit;
      ASSERT_TRUE(sink.breaches.empty()) << sink.breaches.front();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Deltas, PackReaderOfGit, ::testing::Bool(),
                         [](const auto& parameter) { return parameter.param ? "ByOffset" : "ByReference"; });

TEST(PackReader, AnEmptyPackIsAPack) {
  RecordingSink sink;
  EXPECT_TRUE(read_pack(PackBuilder(0).finish(), sink, {}, 1));
}

TEST(PackReader, FinishMayBeAskedTwice) {
  RecordingSink sink;
  PackReader reader(sink);
  ASSERT_TRUE(reader.feed(bytes_of(PackBuilder(0).finish())));
  EXPECT_TRUE(reader.finish());
  EXPECT_TRUE(reader.finish());
}

TEST(PackReader, EmptyObjectsAndAllTypes) {
  PackBuilder pack(4);
  pack.add(ObjectType::blob, "");
  pack.add(ObjectType::tree, "");
  pack.add(ObjectType::commit, "tree x\n");
  pack.add(ObjectType::tag, "object x\n");
  RecordingSink sink;
  ASSERT_TRUE(read_pack(pack.finish(), sink, {}, 1));
  EXPECT_TRUE(sink.breaches.empty());
  EXPECT_EQ(sink.entries[0].oid.hex(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  EXPECT_EQ(sink.entries[1].oid.hex(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
}

TEST(PackReader, ReferenceDeltasMayPrecedeTheirBases) {
  const std::string base = "the base of it all";
  const std::string second = base + " and";
  const std::string third = second + " more";
  const ObjectId base_oid = hash_object(ObjectType::blob, bytes_of(base));
  const ObjectId second_oid = hash_object(ObjectType::blob, bytes_of(second));
  const auto append = [](const std::string& from, const std::string& tail) {
    return DeltaBuilder(from.size(), from.size() + tail.size())
        .copy(0, static_cast<uint32_t>(from.size()))
        .insert(tail)
        .text();
  };
  PackBuilder pack(4);
  pack.add_reference_delta(second_oid, append(second, " more"));
  const uint64_t waiting = pack.add_reference_delta(base_oid, append(base, " and"));
  pack.add_offset_delta(waiting, append(second, " less"));  // on one that waits itself
  pack.add(ObjectType::blob, base);
  for (const uint64_t cache : {uint64_t{0}, uint64_t{1} << 20}) {
    for (const size_t slice : {size_t{1}, size_t{0}}) {
      RecordingSink sink;
      const auto read = read_pack(pack.finish(), sink, {.base_cache_bytes = cache}, slice);
      ASSERT_TRUE(read) << read.error().text();
      EXPECT_TRUE(sink.breaches.empty());
      ASSERT_EQ(sink.entries.size(), 4U);
      EXPECT_EQ(sink.entries[0].oid, base_oid);
      EXPECT_TRUE(sink.objects.contains(hash_object(ObjectType::blob, bytes_of(third))));
      EXPECT_TRUE(sink.objects.contains(hash_object(ObjectType::blob, bytes_of(second + " less"))));
    }
  }
}

TEST(PackReader, ALongChainOfWaitingDeltasNeedsNoStack) {
  constexpr int kLength = 4000;
  std::vector<std::string> contents;
  for (int i = 0; i <= kLength; ++i) contents.push_back("version " + std::to_string(100'000 + i));
  PackBuilder pack(kLength + 1);
  for (int i = kLength; i > 0; --i) {
    const auto delta = DeltaBuilder(contents[0].size(), contents[0].size())
                           .copy(0, 8)
                           .insert(std::string_view(contents[static_cast<size_t>(i)]).substr(8));
    pack.add_reference_delta(hash_object(ObjectType::blob, bytes_of(contents[static_cast<size_t>(i) - 1])),
                             delta.text());
  }
  pack.add(ObjectType::blob, contents[0]);
  RecordingSink sink;
  const auto read = read_pack(pack.finish(), sink);
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(sink.objects.size(), contents.size());

  RecordingSink strict_sink;
  const auto strict = read_pack(pack.finish(), strict_sink, {.max_delta_depth = 100});
  ASSERT_FALSE(strict);
  EXPECT_EQ(strict.error().code, ErrorCode::out_of_range);
  EXPECT_EQ(strict.error().cause, "its chain of deltas is longer than 100");
}

TEST(PackReader, AnErrorOfTheSinkEndsTheParseForGood) {
  class FullSink : public RecordingSink {
    Result<void> content(std::span<const std::byte>) override { return fail(ErrorCode::no_space, "cannot store it"); }
  } sink;
  PackBuilder pack(1);
  pack.add(ObjectType::blob, "hello");
  PackReader reader(sink);
  const auto fed = reader.feed(bytes_of(pack.finish()));
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, ErrorCode::no_space);
  EXPECT_EQ(reader.feed({}).error().code, ErrorCode::no_space);
  EXPECT_EQ(reader.finish().error().code, ErrorCode::no_space);
}

// ---- large objects: content that can be computed anywhere, so that nobody has to hold it

constexpr uint64_t kLargeBytes = uint64_t{64} << 20;

std::byte pattern_at(uint64_t offset) {
  return static_cast<std::byte>((offset * 0x9E3779B97F4A7C15U >> 32) >> (offset % 3 * 8));
}

void fill_pattern(uint64_t offset, std::span<std::byte> into) {
  for (auto& byte : into) byte = pattern_at(offset++);
}

/// Takes the pattern and, later, a delta of it, holding neither.
class LargeSink : public PackSink {
 public:
  Result<void> begin_object(ObjectType type, uint64_t size_bytes) override {
    sha1_.begin_object(type, size_bytes);
    return {};
  }
  Result<void> content(std::span<const std::byte> chunk) override {
    largest_chunk = std::max(largest_chunk, chunk.size());
    sha1_.update(chunk);
    peak_bytes = std::max(peak_bytes, resident_bytes());
    return {};
  }
  Result<void> end_object(const ObjectId& oid, uint64_t, uint32_t) override {
    EXPECT_EQ(oid, sha1_.finish());
    ++ended;
    return {};
  }
  Result<size_t> read_base(const ObjectId&, ObjectType, uint64_t offset, std::span<std::byte> into) override {
    const size_t n = std::min<size_t>(into.size(), 10'000);  // short reads are allowed
    fill_pattern(offset, into.first(n));
    return n;
  }
  static size_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    size_t total = 0, resident = 0;
    statm >> total >> resident;
    return resident * 4096;
  }
  size_t largest_chunk = 0;
  size_t peak_bytes = 0;
  int ended = 0;

 private:
  Sha1 sha1_;
};

/// Deflates the pattern as it goes to `reader`.
void feed_large_blob(PackReader& reader) {
  z_stream deflater{};
  ASSERT_EQ(deflateInit(&deflater, 1), Z_OK);
  std::vector<std::byte> in(1 << 16), out(1 << 17);
  for (uint64_t offset = 0; offset < kLargeBytes; offset += in.size()) {
    fill_pattern(offset, in);
    deflater.next_in = reinterpret_cast<Bytef*>(in.data());
    deflater.avail_in = static_cast<uInt>(in.size());
    deflater.next_out = reinterpret_cast<Bytef*>(out.data());
    deflater.avail_out = static_cast<uInt>(out.size());
    deflate(&deflater, offset + in.size() == kLargeBytes ? Z_FINISH : Z_NO_FLUSH);
    const auto fed = reader.feed(std::span<const std::byte>(out).first(out.size() - deflater.avail_out));
    ASSERT_TRUE(fed) << fed.error().text();
  }
  deflateEnd(&deflater);
}

TEST(PackReader, ALargeBlobAndItsDeltaStreamThroughLittleMemory) {
  LargeSink sink;
  PackReader reader(sink, {.base_cache_bytes = 1 << 20, .max_cached_base_bytes = 256 << 10});
  const size_t before = LargeSink::resident_bytes();
  const std::string header = std::string("PACK\0\0\0\2\0\0\0\2", 12) + testing::entry_header(3, kLargeBytes);
  ASSERT_TRUE(reader.feed(bytes_of(header)));
  feed_large_blob(reader);
  ASSERT_EQ(sink.ended, 1);
  DeltaBuilder delta(kLargeBytes, kLargeBytes + 5);
  for (uint32_t offset = kLargeBytes; offset > 0; offset -= 8 << 20) delta.copy(offset - (8 << 20), 8 << 20);
  delta.insert("hello");
  const std::string distance = testing::base_distance(reader.bytes_fed() - 12);
  const auto fed = reader.feed(bytes_of(testing::entry_header(testing::kOffsetDelta, delta.text().size()) + distance +
                                        testing::deflated(delta.text())));
  ASSERT_TRUE(fed) << fed.error().text();
  EXPECT_EQ(sink.ended, 2);
  EXPECT_LE(sink.largest_chunk, size_t{64} << 10);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(sink.peak_bytes, before + (size_t{8} << 20));
#else
  (void)before;
#endif
}

}  // namespace
}  // namespace artifactfs
