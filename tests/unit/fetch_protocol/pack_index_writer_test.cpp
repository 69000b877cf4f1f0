#include "fetch/pack_index_writer.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/unique_fd.h"
#include "git_fixture.h"
#include "pack_builder.h"
#include "recording_sink.h"

namespace artifactfs {
namespace {

using testing::bytes_of;
using testing::GitFixture;
using testing::RecordingSink;

TEST(PackIndexWriter, WritesWhatGitWrites) {
  GitFixture repository;
  repository.fill(10);
  const std::string pack =
      repository.git({"pack-objects", "--all", "--stdout", "-q", "--delta-base-offset"}, "\n", true);
  const auto path = repository.directory() / "test.pack";
  std::ofstream(path, std::ios::binary) << pack;
  repository.git({"index-pack", "-o", "git.idx", "test.pack"});

  RecordingSink sink;
  ASSERT_TRUE(testing::read_pack(pack, sink));
  const ObjectId checksum = ObjectId::from_raw(bytes_of(pack).last(20));
  ASSERT_TRUE(write_pack_index(repository.directory() / "test.idx", sink.entries, checksum));
  const auto ours = read_file(repository.directory() / "test.idx");
  const auto theirs = read_file(repository.directory() / "git.idx");
  ASSERT_TRUE(ours && theirs);
  EXPECT_TRUE(*ours == *theirs);
  repository.git({"verify-pack", "test.idx"});
}

TEST(PackIndexWriter, AnEmptyPackHasAnIndexToo) {
  // Signature, fan-out, two checksums.
  EXPECT_EQ(pack_index_bytes({}, ObjectId{}).size(), 8U + 4 * 256 + 40);
}

TEST(PackIndexWriter, OffsetsFrom2GiBGoToTheLargeTable) {
  const ObjectId first = *ObjectId::from_hex("00000000000000000000000000000000000000aa");
  const ObjectId second = *ObjectId::from_hex("ff000000000000000000000000000000000000bb");
  const std::string index =
      pack_index_bytes({{second, uint64_t{0x7fffffff}, 2}, {first, uint64_t{0x123456789a}, 1}}, ObjectId{});
  ASSERT_EQ(index.size(), 8U + 4 * 256 + 2 * (20 + 4 + 4) + 8 + 40);
  const size_t offsets = 8 + 4 * 256 + 2 * (20 + 4);
  EXPECT_EQ(index.substr(offsets, 8), std::string("\x80\0\0\0\x7f\xff\xff\xff", 8));
  EXPECT_EQ(index.substr(offsets + 8, 8), std::string("\0\0\0\x12\x34\x56\x78\x9a", 8));
}

}  // namespace
}  // namespace artifactfs
