#include "cache/tree_index.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "base/db.h"
#include "cache/tree_import.h"
#include "raw_tree_builder.h"
#include "temporary_directory.h"

namespace artifactfs {
namespace {

class TreeIndexTest : public ::testing::Test {
 protected:
  std::unique_ptr<TreeIndex> open() {
    auto index = TreeIndex::open(path());
    EXPECT_TRUE(index) << index.error().text();
    return std::move(*index);
  }
  std::filesystem::path path() const { return directory_.path() / "index.db"; }

  ObjectId add(const RawTreeBuilder& builder) {
    auto raw = builder.bytes();
    const ObjectId oid = hash_object(ObjectType::tree, raw);
    raw_.emplace(oid, std::move(raw));
    return oid;
  }
  // A directory in a directory ... `depth` levels, a file at the bottom.
  ObjectId add_nested(size_t depth) {
    ObjectId oid = add(RawTreeBuilder().file("bottom"));
    for (size_t i = 0; i < depth; ++i) oid = add(RawTreeBuilder().directory("d", oid));
    return oid;
  }

  TemporaryDirectory directory_;
  TreeIndex::RawTrees raw_;
};

TEST_F(TreeIndexTest, ImportsATreeAndAllBelowIt) {
  const ObjectId leaf = add(RawTreeBuilder().file("x").file("y"));
  const ObjectId middle = add(RawTreeBuilder().directory("leaf", leaf).file("z"));
  const ObjectId root =
      add(RawTreeBuilder().directory("a", middle).directory("b", leaf).file("c").directory("d", leaf));
  {
    auto index = open();
    EXPECT_FALSE(index->has_tree(root));
    EXPECT_EQ(index->tree(root).error().code, ErrorCode::not_found);
    const auto imported = index->import_trees(root, raw_);
    ASSERT_TRUE(imported) << imported.error().text();
    EXPECT_TRUE(index->import_trees(root, {}));
  }
  auto index = open();
  EXPECT_TRUE(index->has_tree(root));
  EXPECT_TRUE(index->has_tree(leaf));
  const auto tree = index->tree(root);
  ASSERT_TRUE(tree) << tree.error().text();
  EXPECT_EQ((*tree)->descendants(), 12U);
  EXPECT_EQ((*tree)->entry(1).rank, 6U);
  EXPECT_EQ((*tree)->entry(2).rank, 9U);
  EXPECT_EQ((*index->tree(middle))->descendants(), 4U);
  EXPECT_EQ(index->tree(root)->get(), tree->get());  // cached
}

TEST_F(TreeIndexTest, ImportBuildsOnWhatIsStored) {
  const ObjectId leaf = add(RawTreeBuilder().file("x"));
  auto index = open();
  ASSERT_TRUE(index->import_trees(leaf, raw_));
  raw_.clear();
  const ObjectId root = add(RawTreeBuilder().directory("leaf", leaf).file("new"));
  ASSERT_TRUE(index->import_trees(root, raw_));
  EXPECT_EQ((*index->tree(root))->descendants(), 3U);
}

TEST_F(TreeIndexTest, AFailedImportStoresNothing) {
  const ObjectId leaf = add(RawTreeBuilder().file("x"));
  const ObjectId absent = blob_id("absent");
  const ObjectId root = add(RawTreeBuilder().directory("leaf", leaf).directory("z", absent));
  auto index = open();
  auto imported = index->import_trees(root, raw_);
  ASSERT_FALSE(imported);
  EXPECT_EQ(imported.error().code, ErrorCode::not_found);
  EXPECT_NE(imported.error().text().find(absent.hex()), std::string::npos);
  EXPECT_FALSE(index->has_tree(leaf));

  const ObjectId evil = add(RawTreeBuilder().file(".git"));
  imported = index->import_trees(add(RawTreeBuilder().directory("leaf", leaf).directory("z", evil)), raw_);
  ASSERT_FALSE(imported);
  EXPECT_EQ(imported.error().code, ErrorCode::corrupt);
  EXPECT_NE(imported.error().text().find(evil.hex()), std::string::npos);
  EXPECT_FALSE(index->has_tree(leaf));
  EXPECT_TRUE(index->import_trees(leaf, raw_));
}

TEST_F(TreeIndexTest, DeepNestingIsRefusedWithoutOverflowingTheStack) {
  auto index = open();
  EXPECT_TRUE(index->import_trees(add_nested(kMaxTreeDepth), raw_));
  const auto one_more = index->import_trees(add_nested(kMaxTreeDepth + 1), raw_);  // its inner trees are stored
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().code, ErrorCode::out_of_range);
  raw_.clear();
  const ObjectId top = add_nested(10'000);
  raw_.erase(add(RawTreeBuilder().file("bottom")));
  const auto deep = index->import_trees(top, raw_);
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code, ErrorCode::out_of_range);
}

TEST_F(TreeIndexTest, ATreeBombCostsItsDistinctTreesOnly) {
  ObjectId oid = add(RawTreeBuilder().file("f"));
  for (int level = 0; level < 10; ++level) {
    RawTreeBuilder builder;
    for (char c = 'a'; c < 'k'; ++c) builder.directory(std::string(1, c), oid);
    oid = add(builder);
  }
  auto index = open();
  ASSERT_TRUE(index->import_trees(oid, raw_));
  EXPECT_EQ((*index->tree(oid))->descendants(), 21'111'111'110U);
  for (int level = 0; level < 10; ++level) {
    RawTreeBuilder builder;
    for (char c = 'a'; c < 'k'; ++c) builder.directory(std::string(1, c), oid);
    oid = add(builder);
  }
  EXPECT_EQ(index->import_trees(oid, raw_).error().code, ErrorCode::out_of_range);
}

TEST_F(TreeIndexTest, KeepsCommitsRefsSizesAndValues) {
  const CommitRow commit{blob_id("c"), blob_id("t"), -5};
  const std::vector<RefRow> refs = {
      {"HEAD", blob_id("1"), std::nullopt, "refs/heads/main"},
      {"refs/heads/main", blob_id("1"), std::nullopt, std::nullopt},
      {"refs/tags/v1", blob_id("2"), blob_id("1"), std::nullopt},
  };
  {
    auto index = open();
    EXPECT_FALSE(index->commit(commit.oid)->has_value());
    EXPECT_TRUE(index->refs()->empty());
    EXPECT_FALSE(index->value("k")->has_value());
    ASSERT_TRUE(index->put_commit(commit));
    ASSERT_TRUE(index->put_refs(std::vector<RefRow>{{"refs/heads/old", blob_id("0"), std::nullopt, std::nullopt}}));
    ASSERT_TRUE(index->put_refs(refs));
    const std::vector<std::pair<ObjectId, uint64_t>> sizes = {{blob_id("b"), 7}, {blob_id("a"), uint64_t{1} << 40}};
    ASSERT_TRUE(index->put_sizes(sizes));
    ASSERT_TRUE(index->put_sizes({}));
    ASSERT_TRUE(index->put_value("k", "old"));
    ASSERT_TRUE(index->put_value("k", "new"));
  }
  auto index = open();
  const auto stored = index->commit(commit.oid);
  ASSERT_TRUE(stored && stored->has_value());
  EXPECT_EQ((*stored)->tree, commit.tree);
  EXPECT_EQ((*stored)->committer_time, -5);
  EXPECT_EQ(*index->refs(), refs);
  EXPECT_EQ(index->size(blob_id("b")), 7U);
  EXPECT_FALSE(index->size(blob_id("z")));
  const std::vector<ObjectId> oids = {blob_id("z"), blob_id("a"), blob_id("b")};
  EXPECT_EQ(index->sizes(oids), (std::vector<std::optional<uint64_t>>{std::nullopt, uint64_t{1} << 40, 7}));
  EXPECT_EQ(*index->value("k"), "new");
}

TEST_F(TreeIndexTest, ReadersGoOnWhileAWriteIsUnderWay) {
  const ObjectId root = add(RawTreeBuilder().file("x"));
  auto index = open();
  ASSERT_TRUE(index->import_trees(root, raw_));
  auto other = Db::open(path());
  ASSERT_TRUE(other);
  auto transaction = Transaction::begin(**other);  // as another process in the middle of an import
  ASSERT_TRUE(transaction);
  EXPECT_TRUE(index->tree(root));
  EXPECT_FALSE(index->size(root));
}

TEST_F(TreeIndexTest, ManyThreadsReadWhileOneWrites) {
  auto index = open();
  std::vector<ObjectId> roots;
  for (int i = 0; i < 100; ++i) roots.push_back(add(RawTreeBuilder().file("f" + std::to_string(i))));
  std::vector<std::thread> readers;
  for (int t = 0; t < 6; ++t) {
    readers.emplace_back([&] {
      for (size_t found = 0; found < roots.size();) {
        found = 0;
        for (const ObjectId& root : roots) {
          const auto tree = index->tree(root);
          if (!tree) break;
          EXPECT_EQ((*tree)->size(), 1U);
          EXPECT_TRUE(index->size(root));
          ++found;
        }
      }
    });
  }
  for (const ObjectId& root : roots) {
    const std::pair<ObjectId, uint64_t> size = {root, 1};
    EXPECT_TRUE(index->put_sizes({&size, 1}));
    EXPECT_TRUE(index->import_trees(root, raw_));
  }
  for (std::thread& reader : readers) reader.join();
}

TEST_F(TreeIndexTest, ACorruptDatabaseIsBegunAnew) {
  const ObjectId root = add(RawTreeBuilder().file("x"));
  ASSERT_TRUE(open()->import_trees(root, raw_));
  for (const char* garbage : {"this is no database at all, whatever its name says", ""}) {
    std::ofstream(path(), std::ios::trunc) << garbage << std::string(garbage[0] == '\0' ? 0 : 8192, 'x');
    auto index = open();
    EXPECT_FALSE(index->has_tree(root));
    EXPECT_TRUE(index->import_trees(root, raw_));
    EXPECT_TRUE(index->tree(root));
  }
}

TEST_F(TreeIndexTest, ANewerVersionIsRefusedAndKept) {
  open();
  {
    auto db = Db::open(path());
    ASSERT_TRUE(db && (*db)->execute("PRAGMA user_version=99"));
  }
  const auto index = TreeIndex::open(path());
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().code, ErrorCode::not_supported);
  EXPECT_NE(index.error().text().find("newer"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(path()));
}

TEST_F(TreeIndexTest, ADamagedRowIsReportedAndTheIndexBegunAnewAtTheNextOpen) {
  const ObjectId root = add(RawTreeBuilder().file("x").file("y"));
  ASSERT_TRUE(open()->import_trees(root, raw_));
  {
    auto db = Db::open(path());
    ASSERT_TRUE(db);
    // The entry's id, which the row's own format cannot know to be wrong.
    ASSERT_TRUE((*db)->execute("UPDATE tree SET row=CAST(substr(row,1,40) || x'00' || substr(row,42) AS BLOB)"));
  }
  {
    auto index = open();
    const auto tree = index->tree(root);
    ASSERT_FALSE(tree);
    EXPECT_EQ(tree.error().code, ErrorCode::corrupt);
  }
  auto index = open();
  EXPECT_FALSE(index->has_tree(root));
  EXPECT_TRUE(index->import_trees(root, raw_));
  EXPECT_TRUE(index->tree(root));
  EXPECT_TRUE(open()->tree(root));  // condemned once only
}

}  // namespace
}  // namespace artifactfs
