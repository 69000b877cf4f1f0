#include "cache/tree.h"

#include <gtest/gtest.h>

#include <random>

#include "cache/tree_row.h"
#include "raw_tree_builder.h"

namespace artifactfs {
namespace {

const ObjectId kTreeId = hash_object(ObjectType::tree, {});

std::shared_ptr<const Tree> tree_of(const RawTreeBuilder& builder, const std::vector<uint64_t>& below = {}) {
  const auto raw = builder.bytes();
  const auto entries = parse_raw_tree(kTreeId, raw);
  EXPECT_TRUE(entries) << entries.error().text();
  std::vector<uint64_t> all_below = below;
  all_below.resize(entries->size());
  auto row = encode_tree_row(kTreeId, *entries, all_below);
  EXPECT_TRUE(row);
  auto tree = Tree::from_row(std::move(*row));
  EXPECT_TRUE(tree) << tree.error().text();
  return *tree;
}

std::string refusal(const std::vector<std::byte>& raw) {
  const auto entries = parse_raw_tree(kTreeId, raw);
  return entries ? "" : entries.error().text();
}

TEST(Tree, EmptyTreeHasNothing) {
  const auto tree = tree_of({});
  EXPECT_EQ(tree->size(), 0U);
  EXPECT_EQ(tree->descendants(), 0U);
  EXPECT_FALSE(tree->find("a"));
  EXPECT_FALSE(tree->find(""));
  EXPECT_FALSE(tree->find_rank(0));
  EXPECT_FALSE(tree->find_rank(1));
}

TEST(Tree, FindsNamesWhoseOrderDependsOnTheirKind) {
  RawTreeBuilder builder;
  // As a directory "a" stands behind "a.c" and before "a0"; "b" is a file among the same neighbours.
  builder.directory("a", kTreeId).file("a.c").file("a0").file("b").file("b.c").file("b0").add("160000", "c", kTreeId);
  builder.file("c.c").file("a-");
  const auto tree = tree_of(builder, {0, 0, 5});
  for (const char* name : {"a", "a.c", "a0", "b", "b.c", "b0", "c", "c.c", "a-"}) {
    const auto found = tree->find(name);
    ASSERT_TRUE(found) << name;
    EXPECT_EQ(tree->entry(*found).name, name);
  }
  for (const char* name : {"", "A", "a.", "a/", "aa", "b/", "d", "\xff"}) EXPECT_FALSE(tree->find(name)) << name;
  EXPECT_EQ(tree->entry(*tree->find("a")).kind, EntryKind::directory);
  EXPECT_EQ(tree->entry(*tree->find("c")).kind, EntryKind::submodule);
  EXPECT_EQ(tree->directories(), 2U);
}

TEST(Tree, RanksAreAPreorderWalk) {
  RawTreeBuilder builder;
  builder.file("a").directory("b", kTreeId).file("c").directory("d", kTreeId).add("120000", "e", kTreeId);
  const auto tree = tree_of(builder, {0, 10, 0, 0, 0});
  EXPECT_EQ(tree->descendants(), 15U);
  const std::vector<uint64_t> ranks = {1, 2, 13, 14, 15};
  for (size_t i = 0; i < ranks.size(); ++i) {
    EXPECT_EQ(tree->entry(i).rank, ranks[i]);
    EXPECT_EQ(tree->find_rank(ranks[i]), i);
  }
  for (uint64_t below_b = 3; below_b < 13; ++below_b) EXPECT_EQ(tree->find_rank(below_b), 1U);
  EXPECT_FALSE(tree->find_rank(0));
  EXPECT_FALSE(tree->find_rank(16));
  EXPECT_FALSE(tree->find_rank(UINT64_MAX));
}

TEST(Tree, KindsFollowGitsCanonicalModes) {
  RawTreeBuilder builder;
  builder.add("100644", "a", kTreeId).add("100664", "b", kTreeId).add("100755", "c", kTreeId);
  builder.add("120000", "d", kTreeId).add("40000", "e", kTreeId).add("160000", "f", kTreeId);
  builder.add("100600", "g", kTreeId).add("100700", "h", kTreeId).add("0100644", "i", kTreeId);
  const auto tree = tree_of(builder);
  const std::vector<EntryKind> kinds = {EntryKind::file,    EntryKind::file,       EntryKind::executable,
                                        EntryKind::symlink, EntryKind::directory,  EntryKind::submodule,
                                        EntryKind::file,    EntryKind::executable, EntryKind::file};
  ASSERT_EQ(tree->size(), kinds.size());
  for (size_t i = 0; i < kinds.size(); ++i) EXPECT_EQ(tree->entry(i).kind, kinds[i]) << i;
}

TEST(ParseRawTree, RefusesWhatGitNeverWrites) {
  const auto one = [](const char* mode, const char* name) { return RawTreeBuilder().add(mode, name, kTreeId).bytes(); };
  for (const char* mode : {"0", "644", "20000", "60000", "140000", "1100644", "100648", "", "x", "10064400000000000"}) {
    EXPECT_NE(refusal(one(mode, "a")), "") << mode;
  }
  EXPECT_NE(refusal(one("100644", "")), "");
  EXPECT_NE(refusal(one("100644", "a/b")), "");
  EXPECT_NE(refusal(one("100644", std::string(5000, 'a').c_str())), "");
  EXPECT_EQ(refusal(one("100644", std::string(4095, 'a').c_str())), "");
  const std::string text = refusal(one("40000", ".GIT"));
  EXPECT_NE(text.find(kTreeId.hex()), std::string::npos) << text;
  EXPECT_NE(text.find("'.GIT'"), std::string::npos) << text;
}

TEST(ParseRawTree, RefusesEveryTruncation) {
  const auto raw = RawTreeBuilder().file("one").directory("two", kTreeId).file("three").bytes();
  size_t accepted = 0;
  for (size_t length = 0; length < raw.size(); ++length) {
    if (refusal({raw.begin(), raw.begin() + static_cast<ptrdiff_t>(length)}).empty()) ++accepted;
  }
  EXPECT_EQ(accepted, 3U);  // whole entries: none, one, two
}

TEST(ParseRawTree, RefusesWrongOrderAndDuplicates) {
  EXPECT_NE(refusal(RawTreeBuilder().file("b").file("a").bytes(false)), "");
  EXPECT_NE(refusal(RawTreeBuilder().file("a").file("a").bytes(false)), "");
  EXPECT_NE(refusal(RawTreeBuilder().directory("a", kTreeId).file("a.c").bytes(false)), "");
  // A file and a directory of one name are not neighbours.
  EXPECT_NE(refusal(RawTreeBuilder().file("a").file("a-").file("a.c").directory("a", kTreeId).bytes()), "");
  EXPECT_NE(refusal(RawTreeBuilder().file("a").directory("a", kTreeId).bytes()), "");
  EXPECT_EQ(refusal(RawTreeBuilder().file("a-").file("a.c").directory("a", kTreeId).file("a0").bytes()), "");
}

TEST(TreeRow, EveryFlippedByteIsRefusedOrStillSafeToUse) {
  RawTreeBuilder builder;
  builder.file("alpha").directory("beta", kTreeId).file("gamma.txt").add("120000", "zeta", kTreeId);
  const auto tree = tree_of(builder, {0, 7, 0, 0});
  const std::vector<std::byte> row(tree->row().begin(), tree->row().end());
  for (size_t i = 0; i < row.size(); ++i) {
    for (const unsigned mask : {0x01U, 0x80U, 0xffU}) {
      auto flipped = row;
      flipped[i] ^= static_cast<std::byte>(mask);
      const auto decoded = Tree::from_row(flipped);
      if (!decoded) {
        EXPECT_EQ(decoded.error().code, ErrorCode::corrupt);
        continue;
      }
      for (size_t e = 0; e < (*decoded)->size(); ++e) {
        const TreeEntry entry = (*decoded)->entry(e);
        EXPECT_EQ((*decoded)->find(entry.name), e);
        EXPECT_EQ((*decoded)->find_rank(entry.rank), e);
      }
    }
  }
  for (size_t length = 0; length < row.size(); ++length) {
    EXPECT_FALSE(Tree::from_row({row.begin(), row.begin() + static_cast<ptrdiff_t>(length)}));
  }
}

TEST(TreeRow, ATreeOfMoreEntriesThanInodeNumbersIsRefused) {
  RawTreeBuilder builder;
  builder.directory("a", kTreeId).directory("b", kTreeId);
  const auto raw = builder.bytes();
  const auto entries = parse_raw_tree(kTreeId, raw);
  ASSERT_TRUE(entries);
  const std::vector<uint64_t> below(2, uint64_t{1} << 38);
  const auto row = encode_tree_row(kTreeId, *entries, below);
  ASSERT_FALSE(row);
  EXPECT_EQ(row.error().code, ErrorCode::out_of_range);
}

TEST(Tree, RandomTreesAnswerAsALinearSearchWould) {
  std::mt19937 random(42);
  for (int round = 0; round < 200; ++round) {
    RawTreeBuilder builder;
    std::vector<std::string> names;
    for (int i = 0; i < 40; ++i) {
      std::string name;
      for (auto n = 1 + random() % 3; n-- > 0;) name += "a-./0b\xc3"[random() % 7 == 3 ? 0 : random() % 7];
      std::replace(name.begin(), name.end(), '/', '_');
      if (name == "." || name == ".." || std::count(names.begin(), names.end(), name) != 0) continue;
      names.push_back(name);
      if (random() % 2 == 0) {
        builder.file(name);
      } else {
        builder.directory(name, kTreeId);
      }
    }
    const auto tree = tree_of(builder);
    ASSERT_EQ(tree->size(), names.size());
    for (const std::string& name : names) {
      const auto found = tree->find(name);
      ASSERT_TRUE(found) << name;
      EXPECT_EQ(tree->entry(*found).name, name);
      EXPECT_EQ(tree->find(name + "!").has_value(), std::count(names.begin(), names.end(), name + "!") != 0);
    }
  }
}

}  // namespace
}  // namespace artifactfs
