// What a BlobStore gives after its files were damaged: the right bytes or nothing, never wrong ones, and it stays
// usable.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <functional>

#include "base/log.h"
#include "base/unique_fd.h"
#include "blob_test_content.h"
#include "temporary_directory.h"

namespace artifactfs {
namespace {

class BlobCorruptionTest : public ::testing::Test {
 protected:
  BlobCorruptionTest() {
    log::set_level(log::Level::off);  // thousands of damages, each worth a warning
    auto store = open_blob_store(intact());
    for (const auto& content : contents_) EXPECT_TRUE(store->put(id_of(content), content));
  }
  ~BlobCorruptionTest() override { log::set_level(log::Level::info); }

  std::filesystem::path intact() const { return directory_.path() / "intact"; }
  std::filesystem::path segment() const { return segment_files(intact()).front(); }

  // Opens a copy of the store in which `file` (of intact()) has `content`, reads everything, repairs, reads again.
  // Returns how many blobs were lost.
  size_t lost_with(const std::filesystem::path& file, const std::string& content) {
    const auto copy = directory_.path() / "copy";
    std::filesystem::remove_all(copy);
    std::filesystem::copy(intact(), copy, std::filesystem::copy_options::recursive);
    std::ofstream(copy / std::filesystem::relative(file, intact()), std::ios::binary | std::ios::trunc) << content;
    auto store = BlobStore::open(copy);
    if (!store) {
      // Only a version from the future may keep a store from opening.
      EXPECT_EQ(store.error().code, ErrorCode::not_supported) << store.error().text();
      return contents_.size();
    }
    size_t lost = 0;
    for (const auto& wanted : contents_) {
      const ObjectId oid = id_of(wanted);
      std::vector<std::byte> part(10), whole(wanted.size());
      const auto in_part = (*store)->read(oid, wanted.size() / 2, part);
      EXPECT_EQ(std::memcmp(part.data(), wanted.data() + wanted.size() / 2, in_part.value_or(0)), 0);
      const auto got = (*store)->read(oid, 0, whole);
      if (got) {
        EXPECT_EQ(*got, wanted.size());
        EXPECT_EQ(whole, wanted);
        continue;
      }
      EXPECT_EQ(got.error().code, ErrorCode::not_found) << got.error().text();
      ++lost;
      EXPECT_FALSE((*store)->find(oid));
      EXPECT_TRUE((*store)->put(oid, wanted));
      EXPECT_TRUE(reads_as(**store, wanted));
    }
    return lost;
  }

  const std::vector<std::vector<std::byte>> contents_ = {text_content(1, 300), random_content(2, 100),
                                                         text_content(3, 40), random_content(4, 3)};
  TemporaryDirectory directory_ = TemporaryDirectory("/dev/shm");
};

TEST_F(BlobCorruptionTest, NothingIsLostWithoutDamage) { EXPECT_EQ(lost_with(segment(), *read_file(segment())), 0U); }

TEST_F(BlobCorruptionTest, EveryFlippedByteOfASegment) {
  const std::string content = *read_file(segment());
  for (size_t i = 0; i < content.size(); ++i) {
    std::string flipped = content;
    flipped[i] = static_cast<char>(flipped[i] ^ (i % 2 == 0 ? 0x01 : 0x80));
    EXPECT_GE(lost_with(segment(), flipped), 1U) << i;
    if (HasFailure()) return;
  }
}

TEST_F(BlobCorruptionTest, EveryTruncationOfASegment) {
  const std::string content = *read_file(segment());
  for (size_t length = 0; length < content.size(); length += 3) {
    EXPECT_GE(lost_with(segment(), content.substr(0, length)), 1U) << length;
  }
}

TEST_F(BlobCorruptionTest, EveryFlippedByteOfTheDatabase) {
  const auto database = intact() / "blobs.db";
  const std::string content = *read_file(database);
  ASSERT_FALSE(std::filesystem::exists(intact() / "blobs.db-wal"));  // all of it is here
  for (size_t i = 0; i < content.size(); ++i) {
    if (content[i] == 0 && i % 64 != 0) continue;  // mostly unused space
    std::string flipped = content;
    flipped[i] = static_cast<char>(flipped[i] ^ (i % 2 == 0 ? 0x01 : 0xff));
    lost_with(database, flipped);
    if (HasFailure()) {
      ADD_FAILURE() << "at byte " << i;
      return;
    }
  }
}

TEST_F(BlobCorruptionTest, TruncationsOfTheDatabase) {
  const auto database = intact() / "blobs.db";
  const std::string content = *read_file(database);
  for (size_t length = 0; length < content.size(); length += 509) {
    lost_with(database, content.substr(0, length));
    if (HasFailure()) {
      ADD_FAILURE() << "at length " << length;
      return;
    }
  }
}

TEST_F(BlobCorruptionTest, ADatabaseDamagedWhileInUseIsBegunAnew) {
  auto store = open_blob_store(intact());
  const auto database = intact() / "blobs.db";
  const auto size = std::filesystem::file_size(database);
  std::ofstream(database, std::ios::binary) << std::string(size, 'x');
  for (const auto& content : contents_) {
    EXPECT_FALSE(reads_as(*store, content));
    EXPECT_TRUE(store->put(id_of(content), content));
    EXPECT_TRUE(reads_as(*store, content));
  }
  (void)store->flush();  // may be the one that meets the damage
  (void)store->flush();
  EXPECT_TRUE(store->flush());
  store.reset();
  store = open_blob_store(intact());
  for (const auto& content : contents_) EXPECT_TRUE(reads_as(*store, content));
}

}  // namespace
}  // namespace artifactfs
