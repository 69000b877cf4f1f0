// What a consumer of the change journal (git's fsmonitor) is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/workdir_overlay/overlay_fixture.h"

namespace artifactfs::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

class JournalTest : public testing::Test {
 protected:
  JournalTest() { reopen(); }
  void reopen() {
    files_.reset();
    workdir_.reset();
    workdir_ = base_.open();
    files_.emplace(*workdir_);
  }
  Files& f() { return *files_; }
  /// What changed since the last call.
  std::vector<std::string> changes() {
    const auto changed = workdir_->changes_since(token_).value();
    EXPECT_FALSE(changed.everything);
    token_ = changed.token;
    return changed.paths;
  }
  std::string start() { return token_ = workdir_->changes_since("").value().token; }

  MemoryBase base_{{{"a", {"a"}}, {"d/b", {"b"}}, {"d/e/c", {"c"}}, {"l", {"a", "120000"}}}};
  std::unique_ptr<WritableWorkdir> workdir_;
  std::optional<Files> files_;
  std::string token_;
};

TEST_F(JournalTest, AnUnknownTokenMeansEverything) {
  EXPECT_TRUE(workdir_->changes_since("").value().everything);
  EXPECT_TRUE(workdir_->changes_since("nonsense").value().everything);
  const std::string token = start();
  EXPECT_TRUE(workdir_->changes_since(token + "9").value().everything);
  EXPECT_TRUE(workdir_->changes_since("0" + token).value().everything);
  EXPECT_FALSE(workdir_->changes_since(token).value().everything);
}

TEST_F(JournalTest, EachChangeIsToldOnceToWhoAsksOn) {
  start();
  EXPECT_THAT(changes(), IsEmpty());
  ASSERT_TRUE(f().write("d/b", 0, "x"));
  ASSERT_TRUE(f().create("new"));
  EXPECT_THAT(changes(), ElementsAre("d/b", "new"));
  EXPECT_THAT(changes(), IsEmpty());
  ASSERT_TRUE(f().write("d/b", 0, "y"));
  EXPECT_THAT(changes(), ElementsAre("d/b"));
  ASSERT_TRUE(f().unlink("a"));
  AttributeChange change;
  change.mode = 0755;
  ASSERT_TRUE(f().setattr("d/e/c", change));
  EXPECT_THAT(changes(), ElementsAre("a", "d/e/c"));
}

TEST_F(JournalTest, AnOlderTokenIsStillAnswered) {
  const std::string old = start();
  ASSERT_TRUE(f().write("a", 0, "x"));
  EXPECT_THAT(changes(), ElementsAre("a"));
  ASSERT_TRUE(f().write("d/b", 0, "x"));
  EXPECT_THAT(changes(), ElementsAre("d/b"));
  token_ = old;
  EXPECT_THAT(changes(), ElementsAre("a", "d/b"));
}

TEST_F(JournalTest, DirectoriesAreToldWithASlash) {
  start();
  ASSERT_TRUE(f().rename("d", "moved"));
  EXPECT_THAT(changes(), ElementsAre("d/", "moved/"));
  ASSERT_TRUE(f().unlink("moved/b"));
  ASSERT_TRUE(f().rename("moved", "again"));
  EXPECT_THAT(changes(), ElementsAre("again/", "again/b", "moved/"));
  ASSERT_TRUE(f().mkdir("made"));
  ASSERT_TRUE(f().rmdir("made"));
  EXPECT_THAT(changes(), ElementsAre("made/"));
  ASSERT_TRUE(f().rename("a", "again", RenameMode::exchange));
  EXPECT_THAT(changes(), ElementsAre("a", "a/", "again", "again/"));
}

TEST_F(JournalTest, ARemovedDirectoryStandsForWhatWasInIt) {
  start();
  ASSERT_TRUE(f().unlink("d/e/c"));
  ASSERT_TRUE(f().rmdir("d/e"));
  EXPECT_THAT(changes(), Contains("d/e/"));
}

TEST_F(JournalTest, AllNamesOfAFileAreTold) {
  ASSERT_TRUE(f().link("a", "d/hard"));
  start();
  ASSERT_TRUE(f().write("d/hard", 0, "x"));
  EXPECT_THAT(changes(), ElementsAre("a", "d/hard"));
}

TEST_F(JournalTest, TokensOutliveTheProcess) {
  start();
  ASSERT_TRUE(f().write("a", 0, "x"));
  reopen();
  ASSERT_TRUE(f().write("d/b", 0, "x"));
  EXPECT_THAT(changes(), ElementsAre("a", "d/b"));
}

TEST_F(JournalTest, AnotherBootOfTheMachineMeansEverything) {
  start();
  files_.reset();
  workdir_.reset();
  ASSERT_TRUE(Db::open(base_.directory() / "overlay.db")
                  .value()
                  ->execute("UPDATE meta SET value='another' WHERE key='journal_boot'"));
  reopen();
  EXPECT_TRUE(workdir_->changes_since(token_).value().everything);
}

TEST_F(JournalTest, TokensBehindTheBoundMeanEverything) {
  const std::string old = start();
  OverlayDb& db = *std::invoke([&]() -> std::unique_ptr<OverlayDb>& {
    static std::unique_ptr<OverlayDb> opened;
    files_.reset();
    workdir_.reset();
    opened = OverlayDb::open(base_.directory() / "overlay.db").value();
    return opened;
  });
  OverlayEdit edit;
  for (int64_t i = 0; i < ChangeJournal::kRows + 1000; ++i) {
    edit.journal.push_back({kRootInode, "n" + std::to_string(i), false});
  }
  ASSERT_TRUE(db.commit(edit));
  auto journal = ChangeJournal::open(db).value();
  const std::string now = journal.hand_out();
  EXPECT_TRUE(journal.parse(old));
  edit.journal = {{kRootInode, "last", false}};
  ASSERT_TRUE(db.commit(edit));
  journal.trim();
  EXPECT_FALSE(journal.parse(old));
  EXPECT_TRUE(journal.parse(now));
}

}  // namespace
}  // namespace artifactfs::test
