// Packs that the real git made, taken into a repository that the real git then checks.
#include "workdir/pack_importer.h"

#include <gtest/gtest.h>

#include "tests/harness/command.h"
#include "tests/harness/git_repository.h"
#include "tests/harness/temporary_directory.h"

namespace artifactfs::test {
namespace {

class PackImporterTest : public testing::Test {
 protected:
  PackImporterTest() : repository_(directory_.path() / "origin"), target_(directory_.path() / "target") {
    for (int i = 0; i < 20; ++i) {
      repository_.write_file("dir/file" + std::to_string(i), std::string(1000, static_cast<char>('a' + i)));
      repository_.commit("commit " + std::to_string(i));
    }
    repository_.annotated_tag("v1", "tag");
  }
  std::string pack(const std::string& arguments) {
    repository_.git({"-c",
                     "alias.p=!git rev-list --all --objects " + arguments +
                         " | git pack-objects --delta-base-offset --stdout -q > pack.bin",
                     "p"});
    return read_file(repository_.path() / "pack.bin").value();
  }
  std::filesystem::path git_directory() const { return target_.path() / ".git"; }

  TemporaryDirectory directory_;
  GitRepository repository_;
  GitRepository target_;
};

TEST_F(PackImporterTest, TakesCommitsTreesAndTagsIntoARepository) {
  const std::string bytes = pack("--filter=blob:none");
  auto importer = PackImporter::begin(git_directory()).value();
  PackReader reader(*importer);
  const auto span = std::as_bytes(std::span(bytes));
  for (size_t i = 0; i < span.size(); i += 1000) {
    const auto piece = span.subspan(i, std::min<size_t>(1000, span.size() - i));
    ASSERT_TRUE(importer->append_pack(piece));
    ASSERT_TRUE(reader.feed(piece));
  }
  ASSERT_TRUE(reader.finish());
  ASSERT_TRUE(importer->finish(reader.pack_checksum()));
  EXPECT_EQ(importer->commits().size(), 20U);
  EXPECT_EQ(importer->trees().size(), 40U);
  EXPECT_EQ(target_.git({"log", "--format=%s", "-1", repository_.rev_parse("HEAD")}), "commit 19");
  target_.git(
      {"verify-pack", (git_directory() / "objects/pack" / ("pack-" + reader.pack_checksum().hex() + ".idx")).string()});
  const ObjectId head = ObjectId::from_hex(repository_.rev_parse("HEAD")).value();
  const CommitRow row = parse_commit(head, importer->commits().at(head)).value();
  EXPECT_EQ(row.tree.hex(), repository_.rev_parse("HEAD^{tree}"));
  EXPECT_EQ(std::to_string(row.committer_time), repository_.git({"log", "-1", "--format=%ct"}));
}

TEST_F(PackImporterTest, DestroyedBeforeItsEndItLeavesNothing) {
  {
    auto importer = PackImporter::begin(git_directory()).value();
    ASSERT_TRUE(importer->append_pack(std::as_bytes(std::span("PACK"))));
  }
  EXPECT_TRUE(std::filesystem::is_empty(git_directory() / "objects/pack"));
}

TEST(ParseCommit, RefusesWhatIsNoCommit) {
  for (const std::string text :
       {"", "tree xyz", "tree 1234567890123456789012345678901234567890\nauthor a <b> 1 +0000\n\nx"}) {
    EXPECT_EQ(parse_commit({}, std::as_bytes(std::span(text))).error().code, ErrorCode::corrupt) << text;
  }
}

}  // namespace
}  // namespace artifactfs::test
