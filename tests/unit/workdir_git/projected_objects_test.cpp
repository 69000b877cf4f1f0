#include "workdir/projected_objects.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <map>

#include "base/sha1.h"

namespace artifactfs {
namespace {

/// Answers reads of what is "remote" when fetch() is called; counts them.
class FakeStore final : public ObjectStore {
 public:
  ObjectId add(const std::string& content, bool is_cached) {
    const ObjectId oid = hash_object(ObjectType::blob, std::as_bytes(std::span(content)));
    blobs_[oid] = {content, is_cached};
    return oid;
  }
  void fetch() {
    for (auto& [oid, blob] : blobs_) blob.is_cached = true;
    for (auto& waiting : std::exchange(waiting_, {})) waiting();
  }
  size_t waiting() const { return waiting_.size(); }
  int cancelled = 0;

  std::optional<uint64_t> size_now(const ObjectId& oid) override {
    const auto& blob = blobs_.at(oid);
    return blob.is_cached ? std::optional<uint64_t>(blob.content.size()) : std::nullopt;
  }
  std::vector<std::optional<uint64_t>> sizes_now(std::span<const ObjectId> oids) override {
    std::vector<std::optional<uint64_t>> out;
    for (const auto& oid : oids) out.push_back(size_now(oid));
    return out;
  }
  Ticket size(const ObjectId& oid, std::span<const ObjectId>, Duration, Completion<uint64_t> done) override {
    done(blobs_.at(oid).content.size());
    return nullptr;
  }
  Ticket read(const ObjectId& oid, uint64_t offset, size_t size, Duration, Completion<ReadData> done) override {
    if (is_cached(oid)) {
      done(data(oid, offset, size));
      return nullptr;
    }
    waiting_.emplace_back(
        [this, oid, offset, size, done = std::move(done)]() mutable { done(data(oid, offset, size)); });
    struct Counted final : ParkedOperation {
      explicit Counted(int& c) : count(c) {}
      void cancel() noexcept override { ++count; }
      int& count;
    };
    return std::make_shared<Counted>(cancelled);
  }
  bool is_cached(const ObjectId& oid) override { return blobs_.at(oid).is_cached; }

 private:
  struct Blob {
    std::string content;
    bool is_cached = false;
  };
  ReadData data(const ObjectId& oid, uint64_t offset, size_t size) {
    const std::string part = blobs_.at(oid).content.substr(offset, size);
    ReadData out{std::make_unique<std::byte[]>(part.size()), part.size()};
    std::memcpy(out.bytes.get(), part.data(), part.size());
    return out;
  }
  std::map<ObjectId, Blob> blobs_;
  std::vector<std::move_only_function<void()>> waiting_;
};

class ProjectedObjectsTest : public testing::Test {
 protected:
  ProjectedObjects& objects() {
    if (!objects_) {
      objects_ = std::make_unique<ProjectedObjects>(store_, oids_, UserIds{1, 2}, std::chrono::seconds(1));
    }
    return *objects_;
  }
  ObjectId add(const std::string& content, bool is_cached) {
    oids_.push_back(store_.add(content, is_cached));
    return oids_.back();
  }
  Result<Attributes> find(const ObjectId& oid) {
    const auto directory = objects().lookup(kRootInode, oid.hex().substr(0, 2));
    if (!directory) return fail(directory.error());
    return objects().lookup(directory->inode, oid.hex().substr(2));
  }
  std::vector<std::string> list(InodeNumber inode, size_t at_a_time) {
    std::vector<std::string> names;
    uint64_t cookie = 0;
    for (;;) {
      size_t taken = 0;
      EXPECT_TRUE(objects().read_directory(inode, cookie, [&](const DirectoryEntry& entry) {
        if (taken == at_a_time) return false;
        ++taken;
        cookie = entry.next_cookie;
        names.emplace_back(entry.name);
        return true;
      }));
      if (taken == 0) return names;
    }
  }
  std::optional<Result<ReadData>> answer_;
  Ticket read(InodeNumber inode, uint64_t offset, size_t size) {
    answer_.reset();
    return objects().read(inode, offset, size, [this](Result<ReadData> data) { answer_ = std::move(data); });
  }

  FakeStore store_;
  std::vector<ObjectId> oids_;
  std::unique_ptr<ProjectedObjects> objects_;
};

TEST_F(ProjectedObjectsTest, ListsItsBlobsOnceEach) {
  std::map<std::string, std::vector<std::string>> expected;
  for (int i = 0; i < 2000; ++i) {
    const std::string hex = add(std::to_string(i), false).hex();
    add(std::to_string(i), false);
    expected[hex.substr(0, 2)].push_back(hex.substr(2));
  }
  EXPECT_EQ(list(kRootInode, 100).size(), 258u);
  size_t files = 0;
  for (auto& [name, names] : expected) {
    const auto directory = objects().lookup(kRootInode, name);
    ASSERT_TRUE(directory);
    std::ranges::sort(names);
    names.insert(names.begin(), {".", ".."});
    EXPECT_EQ(list(directory->inode, 3), names);
    files += names.size() - 2;
  }
  EXPECT_EQ(files, 2000u);
  EXPECT_EQ(store_.waiting(), 0u) << "listing fetches nothing";
}

TEST_F(ProjectedObjectsTest, AStatNeverWaits) {
  const ObjectId oid = add("content", false);
  const auto found = find(oid);
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->size_known);
  EXPECT_EQ(found->mode, S_IFREG | 0444u);
  bool answered = false;
  EXPECT_EQ(objects().getattr(found->inode,
                              [&](Result<Attributes> attributes) {
                                answered = true;
                                EXPECT_FALSE(attributes->size_known);
                              }),
            nullptr);
  EXPECT_TRUE(answered);
  EXPECT_EQ(store_.waiting(), 0u);
}

TEST_F(ProjectedObjectsTest, WhatIsNotInTheBaseIsNotFound) {
  const ObjectId oid = add("content", true);
  const ObjectId other = hash_object(ObjectType::blob, {});
  EXPECT_EQ(find(other).error().code, ErrorCode::not_found);
  EXPECT_EQ(objects().lookup(kRootInode, "pack").error().code, ErrorCode::not_found);
  EXPECT_EQ(objects().lookup(kRootInode, "zz").error().code, ErrorCode::not_found);
  const auto directory = objects().lookup(kRootInode, oid.hex().substr(0, 2));
  EXPECT_FALSE(objects().lookup(directory->inode, "nonsense"));
  std::string upper = oid.hex().substr(2);
  std::ranges::transform(upper, upper.begin(), [](char c) { return static_cast<char>(std::toupper(c)); });
  EXPECT_FALSE(objects().lookup(directory->inode, upper));
}

TEST_F(ProjectedObjectsTest, AReadFetchesAndIsALooseObject) {
  const std::string content(3'000'000, 'x');
  const ObjectId oid = add(content, false);
  const auto before = find(oid);
  ASSERT_TRUE(before);
  const Ticket ticket = read(before->inode, 0, 1);
  EXPECT_NE(ticket, nullptr);
  EXPECT_FALSE(answer_);
  store_.fetch();
  ASSERT_TRUE(answer_ && *answer_);
  EXPECT_EQ((*answer_)->size, 1u);
  const auto after = find(oid);
  EXPECT_TRUE(after->size_known);
  std::string file;
  while (file.size() < after->size_bytes) {
    EXPECT_EQ(read(after->inode, file.size(), 131072), nullptr);
    ASSERT_TRUE(answer_ && *answer_);
    ASSERT_GT((*answer_)->size, 0u);
    file.append(reinterpret_cast<const char*>((*answer_)->bytes.get()), (*answer_)->size);
  }
  EXPECT_EQ(read(after->inode, file.size(), 10), nullptr);
  EXPECT_EQ((*answer_)->size, 0u);
  std::string raw(content.size() + 64, '\0');
  uLongf raw_bytes = raw.size();
  ASSERT_EQ(::uncompress(reinterpret_cast<unsigned char*>(raw.data()), &raw_bytes,
                         reinterpret_cast<const unsigned char*>(file.data()), file.size()),
            Z_OK);
  raw.resize(raw_bytes);
  EXPECT_EQ(raw, std::string("blob 3000000\0", 13) + content);
}

TEST_F(ProjectedObjectsTest, CancellingReachesTheFetch) {
  const ObjectId oid = add("content", false);
  const Ticket ticket = read(find(oid)->inode, 0, 1);
  ASSERT_NE(ticket, nullptr);
  ticket->cancel();
  EXPECT_EQ(store_.cancelled, 1);
  store_.fetch();
}

}  // namespace
}  // namespace artifactfs
