#include "cache/blob_store.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "base/sha1.h"
#include "blob_test_content.h"
#include "temporary_directory.h"

namespace artifactfs {
namespace {

constexpr uint64_t kFrame = BlobStore::kFrameBytes;

class BlobStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<BlobStore> open() { return open_blob_store(directory_.path()); }
  TemporaryDirectory directory_;
};

TEST_F(BlobStoreTest, ReadsBackWhatWasPutAtOnceAndAfterReopening) {
  const std::vector<std::vector<std::byte>> contents = {
      {},
      text_content(1, 1),
      random_content(2, 1),
      text_content(3, 1000),
      random_content(4, 5000),
      text_content(5, kFrame - 1),
      text_content(6, kFrame),
      text_content(7, kFrame + 1),
      random_content(8, 2 * kFrame),
      text_content(9, 3 * kFrame + 12345),
  };
  const auto expect_all = [&](BlobStore& store) {
    uint64_t bytes = 0;
    for (const auto& content : contents) {
      EXPECT_EQ(store.find(id_of(content)), content.size());
      EXPECT_TRUE(reads_as(store, content));
      bytes += content.size();
    }
    EXPECT_EQ(store.stats().blobs, contents.size());
    EXPECT_EQ(store.stats().content_bytes, bytes);
  };
  {
    auto store = open();
    for (const auto& content : contents) ASSERT_TRUE(store->put(id_of(content), content));
    expect_all(*store);
    ASSERT_TRUE(store->flush());
    expect_all(*store);
  }
  auto store = open();
  expect_all(*store);
  const auto stats = store->stats();
  EXPECT_LT(stats.disk_bytes, stats.content_bytes);
}

TEST_F(BlobStoreTest, AbsentBlobsAreNotFound) {
  auto store = open();
  std::byte byte;
  EXPECT_FALSE(store->find(id_of({})));
  EXPECT_EQ(store->read(id_of({}), 0, {&byte, 1}).error().code, ErrorCode::not_found);
  const auto a = text_content(1, 10), b = text_content(2, 10), c = text_content(3, 10);
  ASSERT_TRUE(store->put(id_of(b), b));
  const std::vector<ObjectId> oids = {id_of(c), id_of(b), id_of(a)};
  const std::vector<ObjectId> absent = {id_of(c), id_of(a)};
  EXPECT_EQ(store->missing(oids), absent);
  ASSERT_TRUE(store->flush());
  EXPECT_EQ(open()->missing(oids), absent);
}

TEST_F(BlobStoreTest, PartsAreReadAndShortOnlyAtTheEnd) {
  auto store = open();
  for (const bool compressible : {true, false}) {
    const uint64_t size = 3 * kFrame + 100;
    const auto content = compressible ? text_content(1, size) : random_content(1, size);
    ASSERT_TRUE(store->put(id_of(content), content));
    const std::vector<std::pair<uint64_t, size_t>> ranges = {{0, 1},
                                                             {0, kFrame},
                                                             {1, kFrame},
                                                             {kFrame - 1, 2},
                                                             {kFrame, kFrame},
                                                             {kFrame, 10},
                                                             {100, 3 * kFrame},
                                                             {3 * kFrame, 100},
                                                             {3 * kFrame, 101},
                                                             {size - 1, 1},
                                                             {size, 1},
                                                             {size + 1, 1},
                                                             {UINT64_MAX, 1},
                                                             {5, 0},
                                                             {0, size + 5000}};
    for (const auto& [offset, length] : ranges) {
      std::vector<std::byte> into(length, std::byte{0xee});
      const auto got = store->read(id_of(content), offset, into);
      ASSERT_TRUE(got);
      const uint64_t expected = offset >= size ? 0 : std::min<uint64_t>(length, size - offset);
      ASSERT_EQ(*got, expected) << offset << "+" << length;
      EXPECT_TRUE(std::equal(into.begin(), into.begin() + static_cast<ptrdiff_t>(expected),
                             content.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(offset, content.size()))));
    }
  }
}

TEST_F(BlobStoreTest, NothingIsVisibleBeforeCommit) {
  auto store = open();
  const auto content = text_content(1, 2 * kFrame + 7);
  {
    auto writer = store->begin(content.size());
    ASSERT_TRUE(writer);
    for (size_t at = 0; at < content.size(); at += 100'000) {
      ASSERT_TRUE((*writer)->append(std::span(content).subspan(at, std::min<size_t>(100'000, content.size() - at))));
    }
    EXPECT_FALSE(store->find(id_of(content)));
  }
  EXPECT_FALSE(store->find(id_of(content)));
  EXPECT_EQ(store->stats().blobs, 0U);
}

TEST_F(BlobStoreTest, AContentOfAnotherLengthThanAnnouncedIsRefused) {
  auto store = open();
  const auto content = text_content(1, 100);
  auto writer = store->begin(99);
  ASSERT_TRUE(writer);
  EXPECT_FALSE((*writer)->append(content));
  EXPECT_FALSE((*writer)->commit(id_of(content)));
  writer = store->begin(101);
  ASSERT_TRUE(writer && (*writer)->append(content));
  EXPECT_FALSE((*writer)->commit(id_of(content)));
  EXPECT_FALSE(store->find(id_of(content)));
}

TEST_F(BlobStoreTest, ABlobThatIsPresentIsNotWrittenAgain) {
  auto store = open();
  const auto content = random_content(1, 100'000);
  ASSERT_TRUE(store->put(id_of(content), content));
  const auto size = segment_bytes(directory_.path());
  ASSERT_TRUE(store->put(id_of(content), content));
  EXPECT_EQ(segment_bytes(directory_.path()), size);
  EXPECT_EQ(store->stats().blobs, 1U);
}

TEST_F(BlobStoreTest, SegmentsThatNoRowRefersToAreDeletedAtOpen) {
  const auto kept = text_content(1, 5000);
  {
    auto store = open();
    ASSERT_TRUE(store->put(id_of(kept), kept));
  }
  {
    auto store = open();
    auto writer = store->begin(2 * kFrame);
    ASSERT_TRUE(writer && (*writer)->append(random_content(2, 2 * kFrame)));
    writer->reset();
    EXPECT_EQ(segment_files(directory_.path()).size(), 2U);
    open();  // beside the first: its segment is locked
    EXPECT_EQ(segment_files(directory_.path()).size(), 2U);
  }
  auto store = open();
  EXPECT_EQ(segment_files(directory_.path()).size(), 1U);
  EXPECT_TRUE(reads_as(*store, kept));
}

TEST_F(BlobStoreTest, APendingRowKeepsItsSegmentFromAnotherProcessesCleaning) {
  auto store = open();
  const auto content = text_content(1, 5000);
  ASSERT_TRUE(store->put(id_of(content), content));
  auto other = open();
  EXPECT_TRUE(reads_as(*store, content));
  ASSERT_TRUE(store->flush());
  EXPECT_TRUE(reads_as(*other, content));
}

TEST_F(BlobStoreTest, AMissingSegmentMakesItsBlobsAbsentAndTheyCanBePutAgain) {
  const auto small = text_content(1, 5000), large = text_content(2, 3 * kFrame);
  {
    auto store = open();
    ASSERT_TRUE(store->put(id_of(small), small));
    ASSERT_TRUE(store->put(id_of(large), large));
  }
  for (const auto& file : segment_files(directory_.path())) std::filesystem::remove(file);
  auto store = open();
  for (const auto& content : {small, large}) {
    EXPECT_TRUE(store->find(id_of(content)));
    std::vector<std::byte> into(100);
    EXPECT_EQ(store->read(id_of(content), 10, into).error().code, ErrorCode::not_found);
    EXPECT_FALSE(store->find(id_of(content)));
    ASSERT_TRUE(store->put(id_of(content), content));
    EXPECT_TRUE(reads_as(*store, content));
  }
  EXPECT_EQ(store->stats().blobs, 2U);
  store.reset();
  store = open();
  EXPECT_TRUE(reads_as(*store, large));
}

TEST_F(BlobStoreTest, MoreSegmentsThanMayBeOpen) {
  std::vector<std::vector<std::byte>> contents;
  for (unsigned i = 0; i < 50; ++i) {
    contents.push_back(text_content(i, 1000));
    ASSERT_TRUE(open()->put(id_of(contents.back()), contents.back()));
  }
  EXPECT_EQ(segment_files(directory_.path()).size(), 50U);
  auto store = open();
  for (int round = 0; round < 2; ++round) {
    for (const auto& content : contents) EXPECT_TRUE(reads_as(*store, content));
  }
  const auto fds = std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  EXPECT_LT(fds, 70);
}

TEST_F(BlobStoreTest, RandomOperationsMatchAMap) {
  std::mt19937 random(7);
  auto store = open();
  std::map<ObjectId, std::vector<std::byte>> model;
  const auto random_size = [&]() -> size_t {
    switch (random() % 5) {
      case 0:
        return random() % 100;
      case 1:
        return kFrame - 2 + random() % 4;
      case 2:
        return random() % (5 * kFrame / 2);
      default:
        return random() % 20'000;
    }
  };
  for (unsigned step = 0; step < 1500; ++step) {
    switch (random() % 8) {
      case 0:
      case 1: {
        const size_t size = random_size();
        auto content = random() % 3 == 0 ? random_content(step, size) : text_content(step, size);
        ASSERT_TRUE(store->put(id_of(content), content));
        model[id_of(content)] = std::move(content);
        break;
      }
      case 2: {
        auto content = text_content(step, random_size());
        auto writer = store->begin(content.size());
        ASSERT_TRUE(writer);
        for (size_t at = 0; at < content.size();) {
          const size_t length = std::min<size_t>(content.size() - at, 1 + random() % (kFrame + kFrame / 2));
          ASSERT_TRUE((*writer)->append(std::span(content).subspan(at, length)));
          at += length;
        }
        if (random() % 3 == 0) break;  // abandoned
        ASSERT_TRUE((*writer)->commit(id_of(content)));
        model[id_of(content)] = std::move(content);
        break;
      }
      case 3:
        if (random() % 10 == 0) {
          store.reset();
          store = open();
        } else if (random() % 3 == 0) {
          ASSERT_TRUE(store->flush());
        }
        break;
      default: {
        if (model.empty() || random() % 10 == 0) {
          const auto absent = random_content(1'000'000 + step, 40);
          EXPECT_FALSE(store->find(id_of(absent)));
          break;
        }
        auto it = model.begin();
        std::advance(it, random() % model.size());
        const auto& content = it->second;
        EXPECT_EQ(store->find(it->first), content.size());
        const uint64_t offset = random() % (content.size() + 2);
        std::vector<std::byte> into(random() % (content.size() + 100));
        const auto got = store->read(it->first, offset, into);
        ASSERT_TRUE(got) << got.error().text();
        const auto expected = offset >= content.size() ? 0 : std::min<uint64_t>(into.size(), content.size() - offset);
        ASSERT_EQ(*got, expected);
        ASSERT_TRUE(std::equal(into.begin(), into.begin() + static_cast<ptrdiff_t>(expected),
                               content.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(offset, content.size()))));
      }
    }
  }
  EXPECT_EQ(store->stats().blobs, model.size());
}

TEST_F(BlobStoreTest, ManyThreadsWriteAndReadAtOnce) {
  auto store = open();
  constexpr unsigned kBlobs = 60;
  const auto content_of = [](unsigned i) {
    return i % 20 == 0 ? text_content(i, 2 * kFrame + i) : text_content(i, 500 + i * 37);
  };
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < kBlobs; ++i) {
        const auto content = content_of((i + t * 7) % kBlobs);
        auto writer = store->begin(content.size());
        EXPECT_TRUE(writer);
        for (size_t at = 0; at < content.size(); at += 300'000) {
          EXPECT_TRUE(
              (*writer)->append(std::span(content).subspan(at, std::min<size_t>(300'000, content.size() - at))));
        }
        EXPECT_TRUE((*writer)->commit(id_of(content)));
        EXPECT_TRUE(reads_as(*store, content));
      }
    });
  }
  for (unsigned t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned found = 0; found < kBlobs;) {
        found = 0;
        for (unsigned i = 0; i < kBlobs; ++i) {
          const auto content = content_of(i);
          const auto size = store->find(id_of(content));
          if (!size) continue;
          ++found;
          std::vector<std::byte> into(1000);
          const auto got = store->read(id_of(content), content.size() / 2, into);
          EXPECT_TRUE(got);
          EXPECT_EQ(std::memcmp(into.data(), content.data() + content.size() / 2, got.value_or(0)), 0);
        }
        if (t == 0) (void)store->flush();
        (void)store->stats();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store->stats().blobs, kBlobs);
}

}  // namespace
}  // namespace artifactfs
