// Every operation of WritableWorkdir against what POSIX and ext4 say, over a base tree.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/unit/workdir_overlay/overlay_fixture.h"

namespace artifactfs::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;
using testing::UnorderedElementsAre;

class OverlayTest : public testing::Test {
 protected:
  OverlayTest() { reopen(); }
  void reopen() {
    files_.reset();
    workdir_.reset();
    workdir_ = base_.open();
    files_.emplace(*workdir_);
  }
  Files& f() { return *files_; }
  void expect_clean() {
    files_.reset();
    workdir_.reset();
    const auto findings = findings_of(base_.directory(), false);
    for (const auto& finding : findings) ADD_FAILURE() << finding.text;
    reopen();
  }

  MemoryBase base_{{{"a.txt", {"alpha\n"}},
                    {"run.sh", {"#!/bin/sh\n", "100755"}},
                    {"link", {"a.txt", "120000"}},
                    {"dir/one", {"1"}},
                    {"dir/two", {"22"}},
                    {"dir/sub/three", {"333"}},
                    {"other/x", {"x"}},
                    {"sub", {"", "160000"}}}};
  std::unique_ptr<WritableWorkdir> workdir_;
  std::optional<Files> files_;
};

TEST_F(OverlayTest, NewFilesAreThereAfterReopening) {
  const auto made = f().create("new", 0640).value();
  EXPECT_GE(made.inode, kFirstOverlayInode);
  EXPECT_EQ(made.mode, S_IFREG | 0640u);
  EXPECT_EQ(made.size_bytes, 0u);
  EXPECT_EQ(f().write("new", 0, "hello").value(), 5u);
  EXPECT_EQ(f().write("new", 10, "there").value(), 5u);
  EXPECT_EQ(code_of(f().create("new")), ErrorCode::already_exists);
  EXPECT_EQ(code_of(f().create("a.txt")), ErrorCode::already_exists);
  reopen();
  EXPECT_EQ(f().read("new").value(), std::string("hello\0\0\0\0\0there", 15));
  EXPECT_EQ(f().stat("new").value().inode, made.inode);
  EXPECT_NE(f().create("newer").value().inode, made.inode);
  expect_clean();
}

TEST_F(OverlayTest, AFirstWriteCopiesUpAndKeepsTheNumber) {
  const auto before = f().stat("a.txt").value();
  EXPECT_EQ(f().write("a.txt", 0, "A").value(), 1u);
  EXPECT_EQ(f().read("a.txt").value(), "Alpha\n");
  const auto after = f().stat("a.txt").value();
  EXPECT_EQ(after.inode, before.inode);
  EXPECT_EQ(after.links, 1u);
  EXPECT_GT(after.mtime.seconds, before.mtime.seconds);
  EXPECT_EQ(workdir_->getxattr(after.inode, "user.artifactfs.state").value(), "modified");
  reopen();
  EXPECT_EQ(f().read("a.txt").value(), "Alpha\n");
  EXPECT_EQ(f().stat("a.txt").value().inode, before.inode);
  expect_clean();
}

TEST_F(OverlayTest, TruncationToNothingFetchesNothingAndAsksNoSize) {
  base_.objects().hold();
  EXPECT_EQ(f().truncate("a.txt", 0).value().size_bytes, 0u);
  EXPECT_EQ(base_.objects().requests(), 0u);
  EXPECT_EQ(f().read("a.txt").value(), "");
}

TEST_F(OverlayTest, TruncationInTheMiddleKeepsTheHeadAndGrowingAddsZeros) {
  EXPECT_EQ(f().truncate("a.txt", 3).value().size_bytes, 3u);
  EXPECT_EQ(f().read("a.txt").value(), "alp");
  EXPECT_EQ(f().truncate("a.txt", 5).value().size_bytes, 5u);
  EXPECT_EQ(f().read("a.txt").value(), std::string("alp\0\0", 5));
  EXPECT_EQ(code_of(f().truncate("dir", 0)), ErrorCode::is_directory);
}

TEST_F(OverlayTest, WritersOfAFileThatIsFetchedWaitInTurn) {
  base_.objects().hold();
  const InodeNumber inode = f().inode("a.txt").value();
  std::promise<void> first, second;
  const std::string one = "1", two = "2";
  const Ticket a = workdir_->write(inode, 0, std::as_bytes(std::span(one)), false, [&](const Result<size_t>& n) {
    EXPECT_TRUE(n);
    first.set_value();
  });
  const Ticket b = workdir_->write(inode, 0, std::as_bytes(std::span(two)), false, [&](const Result<size_t>& n) {
    EXPECT_TRUE(n);
    second.set_value();
  });
  EXPECT_NE(a, nullptr);
  EXPECT_NE(b, nullptr);
  EXPECT_TRUE(f().create("meanwhile"));  // nobody else waits
  EXPECT_EQ(base_.objects().requests(), 1u);
  base_.objects().release();
  first.get_future().get();
  second.get_future().get();
  EXPECT_EQ(f().read("a.txt").value(), "2lpha\n");
}

TEST_F(OverlayTest, AWriterThatGivesUpLeavesTheFileAsItWas) {
  base_.objects().hold();
  ErrorCode code{};
  const std::string one = "1";
  const Ticket ticket = workdir_->write(f().inode("a.txt").value(), 0, std::as_bytes(std::span(one)), false,
                                        [&](Result<size_t> n) { code = code_of(n); });
  ticket->cancel();
  EXPECT_EQ(code, ErrorCode::interrupted);
  base_.objects().release();
  reopen();
  EXPECT_EQ(f().read("a.txt").value(), "alpha\n");
  expect_clean();
}

TEST_F(OverlayTest, ClosingEndsACopyThatWaitsForTheNetwork) {
  base_.objects().hold();
  ErrorCode code{};
  const std::string one = "1";
  const Ticket ticket = workdir_->write(f().inode("a.txt").value(), 0, std::as_bytes(std::span(one)), false,
                                        [&](Result<size_t> n) { code = code_of(n); });
  workdir_.reset();
  EXPECT_EQ(code, ErrorCode::interrupted);
}

TEST_F(OverlayTest, LargeFilesAreCopiedInPieces) {
  std::string large(5 * CopyUps::kPieceBytes + 17, 'x');
  for (size_t i = 0; i < large.size(); i += 4096) large[i] = static_cast<char>('a' + i / 4096 % 26);
  MemoryBase base({{"large", {large}}});
  const auto workdir = base.open();
  Files files(*workdir);
  EXPECT_EQ(files.write("large", large.size(), "end").value(), 3u);
  EXPECT_EQ(files.read("large").value(), large + "end");
}

TEST_F(OverlayTest, UnlinkedNamesStayAway) {
  ASSERT_TRUE(f().unlink("a.txt"));
  EXPECT_EQ(code_of(f().stat("a.txt")), ErrorCode::not_found);
  EXPECT_EQ(code_of(f().unlink("a.txt")), ErrorCode::not_found);
  EXPECT_EQ(code_of(f().unlink("dir")), ErrorCode::is_directory);
  EXPECT_THAT(f().list(""), Not(Contains("a.txt")));
  reopen();
  EXPECT_EQ(code_of(f().stat("a.txt")), ErrorCode::not_found);
  ASSERT_TRUE(f().create("a.txt"));
  EXPECT_EQ(f().read("a.txt").value(), "");
  EXPECT_THAT(f().list(""), Contains("a.txt"));
  expect_clean();
}

TEST_F(OverlayTest, UnlinkedFilesLiveUntilTheyAreForgotten) {
  const InodeNumber base_file = f().inode("a.txt").value();
  const InodeNumber new_file = f().create("new").value().inode;
  ASSERT_TRUE(f().write(new_file, 0, "data"));
  ASSERT_TRUE(f().unlink("a.txt"));
  ASSERT_TRUE(f().unlink("new"));
  EXPECT_EQ(f().fstat(base_file).value().links, 0u);
  EXPECT_EQ(f().fstat(new_file).value().links, 0u);
  EXPECT_EQ(f().read(base_file).value(), "alpha\n");
  EXPECT_TRUE(f().write(base_file, 5, "!"));
  EXPECT_EQ(f().read(base_file).value(), "alpha!");
  EXPECT_EQ(f().read(new_file).value(), "data");
  const auto upper = base_.directory() / "upper";
  EXPECT_TRUE(std::filesystem::exists(upper / std::to_string(base_file)));
  workdir_->forget(base_file, 1);
  workdir_->forget(new_file, 1);
  EXPECT_FALSE(std::filesystem::exists(upper / std::to_string(base_file)));
  EXPECT_FALSE(std::filesystem::exists(upper / std::to_string(new_file)));
}

TEST_F(OverlayTest, OrphansOfACrashAreRemovedAtTheNextStart) {
  const InodeNumber inode = f().create("new").value().inode;
  ASSERT_TRUE(f().unlink("new"));  // the kernel still has it, and never says otherwise
  std::ofstream(base_.directory() / "upper" / "1099511699999") << "nobody's";
  std::ofstream(base_.directory() / "upper" / "2.tmp") << "half a co";
  reopen();
  EXPECT_FALSE(std::filesystem::exists(base_.directory() / "upper" / std::to_string(inode)));
  EXPECT_FALSE(std::filesystem::exists(base_.directory() / "upper" / "1099511699999"));
  EXPECT_FALSE(std::filesystem::exists(base_.directory() / "upper" / "2.tmp"));
  expect_clean();
}

TEST_F(OverlayTest, AFileWhoseDataAreMissingIsEmptyAndIsReported) {
  const InodeNumber inode = f().create("new").value().inode;
  files_.reset();
  workdir_.reset();
  std::filesystem::remove(base_.directory() / "upper" / std::to_string(inode));
  const auto findings = findings_of(base_.directory(), false);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].kind, OverlayFinding::Kind::damage);
  reopen();
  EXPECT_EQ(f().read("new").value(), "");
  expect_clean();
}

TEST_F(OverlayTest, ANewerDatabaseIsRefused) {
  files_.reset();
  workdir_.reset();
  ASSERT_TRUE(Db::open(base_.directory() / "overlay.db").value()->execute("PRAGMA user_version=99"));
  EXPECT_EQ(code_of(check_overlay(base_.directory(), true)), ErrorCode::not_supported);
}

TEST_F(OverlayTest, DirectoriesCountTheirSubdirectories) {
  EXPECT_EQ(f().stat("").value().links, 5u);  // dir, other, sub
  ASSERT_TRUE(f().mkdir("made"));
  EXPECT_EQ(f().stat("").value().links, 6u);
  EXPECT_EQ(f().stat("made").value().links, 2u);
  ASSERT_TRUE(f().rename("dir/sub", "made/sub"));
  EXPECT_EQ(f().stat("dir").value().links, 2u);
  EXPECT_EQ(f().stat("made").value().links, 3u);
  EXPECT_EQ(code_of(f().rmdir("made")), ErrorCode::not_empty);
  EXPECT_EQ(code_of(f().rmdir("dir")), ErrorCode::not_empty);
  EXPECT_EQ(code_of(f().rmdir("a.txt")), ErrorCode::not_directory);
  ASSERT_TRUE(f().rmdir("sub"));
  ASSERT_TRUE(f().unlink("dir/one"));
  ASSERT_TRUE(f().unlink("dir/two"));
  ASSERT_TRUE(f().rmdir("dir"));
  EXPECT_EQ(f().stat("").value().links, 4u);
  ASSERT_TRUE(f().mkdir("dir"));
  EXPECT_THAT(f().list("dir"), UnorderedElementsAre(".", ".."));
  EXPECT_EQ(f().read("made/sub/three").value(), "333");
  const auto before = f().tree();
  reopen();
  EXPECT_EQ(f().tree(), before);
  expect_clean();
}

TEST_F(OverlayTest, RenamingReplacesAndKeepsNumbers) {
  const auto moved = f().stat("a.txt").value().inode;
  ASSERT_TRUE(f().rename("a.txt", "dir/one"));
  EXPECT_EQ(f().read("dir/one").value(), "alpha\n");
  EXPECT_EQ(f().stat("dir/one").value().inode, moved);
  EXPECT_EQ(f().stat("dir/one").value().links, 1u);
  EXPECT_EQ(code_of(f().stat("a.txt")), ErrorCode::not_found);
  ASSERT_TRUE(f().rename("dir/one", "a.txt"));  // back where it came from
  EXPECT_EQ(f().stat("a.txt").value().inode, moved);
  EXPECT_EQ(code_of(f().rename("none", "b")), ErrorCode::not_found);
  EXPECT_EQ(code_of(f().rename("dir", "a.txt")), ErrorCode::not_directory);
  EXPECT_EQ(code_of(f().rename("a.txt", "dir")), ErrorCode::is_directory);
  EXPECT_EQ(code_of(f().rename("dir", "dir/sub/dir")), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of(f().rename("other", "dir")), ErrorCode::not_empty);
  EXPECT_EQ(code_of(f().rename("a.txt", "run.sh", RenameMode::no_replace)), ErrorCode::already_exists);
  EXPECT_TRUE(f().rename("a.txt", "b.txt", RenameMode::no_replace));
  expect_clean();
}

TEST_F(OverlayTest, ExchangeSwapsFilesAndDirectories) {
  ASSERT_TRUE(f().rename("a.txt", "dir", RenameMode::exchange));
  EXPECT_EQ(f().read("dir").value(), "alpha\n");
  EXPECT_EQ(f().read("a.txt/sub/three").value(), "333");
  EXPECT_EQ(f().stat("").value().links, 5u);
  EXPECT_EQ(code_of(f().rename("a.txt", "none", RenameMode::exchange)), ErrorCode::not_found);
  EXPECT_EQ(code_of(f().rename("a.txt/sub", "a.txt", RenameMode::exchange)), ErrorCode::invalid_argument);
  const auto before = f().tree();
  expect_clean();
  EXPECT_EQ(f().tree(), before);
  ASSERT_TRUE(f().rename("a.txt", "dir", RenameMode::exchange));
  EXPECT_EQ(f().read("a.txt").value(), "alpha\n");
}

TEST_F(OverlayTest, HardLinksShareOneInode) {
  const auto linked = f().link("a.txt", "dir/again").value();
  EXPECT_EQ(linked.links, 2u);
  EXPECT_EQ(linked.inode, f().stat("a.txt").value().inode);
  ASSERT_TRUE(f().write("dir/again", 0, "B"));
  EXPECT_EQ(f().read("a.txt").value(), "Blpha\n");
  EXPECT_TRUE(f().rename("a.txt", "dir/again"));  // two names of one inode: nothing happens
  EXPECT_EQ(f().stat("a.txt").value().links, 2u);
  ASSERT_TRUE(f().unlink("a.txt"));
  EXPECT_EQ(f().stat("dir/again").value().links, 1u);
  expect_clean();
  EXPECT_EQ(f().read("dir/again").value(), "Blpha\n");
  EXPECT_EQ(code_of(f().link("dir", "hard")), ErrorCode::permission_denied);
}

TEST_F(OverlayTest, SymlinksFifosAndTheirErrors) {
  ASSERT_TRUE(f().symlink("../where ever", "dir/new-link"));
  EXPECT_EQ(f().readlink("dir/new-link").value(), "../where ever");
  EXPECT_EQ(f().stat("dir/new-link").value().size_bytes, 13u);
  EXPECT_EQ(f().readlink("link").value(), "a.txt");
  EXPECT_EQ(code_of(f().readlink("a.txt")), ErrorCode::invalid_argument);
  ASSERT_TRUE(workdir_->mknod(f().caller, kRootInode, "fifo", S_IFIFO | 0600, 0));
  EXPECT_EQ(f().stat("fifo").value().mode, S_IFIFO | 0600u);
  EXPECT_EQ(code_of(f().write("fifo", 0, "x")), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of(f().create(std::string(256, 'n'))), ErrorCode::name_too_long);
  EXPECT_TRUE(f().create(std::string(255, 'n')));
  EXPECT_EQ(code_of(f().stat(std::string(256, 'n'))), ErrorCode::name_too_long);
  EXPECT_EQ(code_of(f().create("a.txt/below")), ErrorCode::not_directory);
  expect_clean();
  EXPECT_EQ(f().readlink("dir/new-link").value(), "../where ever");
}

TEST_F(OverlayTest, TheGitfileCanOnlyBeRead) {
  EXPECT_THAT(f().read(".git").value(), testing::StartsWith("gitdir: "));
  EXPECT_EQ(code_of(f().unlink(".git")), ErrorCode::permission_denied);
  EXPECT_EQ(code_of(f().rename(".git", "x")), ErrorCode::permission_denied);
  EXPECT_EQ(code_of(f().rename("a.txt", ".git")), ErrorCode::permission_denied);
  EXPECT_EQ(code_of(f().write(".git", 0, "x")), ErrorCode::permission_denied);
  EXPECT_EQ(code_of(f().truncate(".git", 0)), ErrorCode::permission_denied);
  EXPECT_EQ(code_of(f().mkdir(".git")), ErrorCode::already_exists);
  EXPECT_TRUE(f().mkdir("dir/.git"));
}

TEST_F(OverlayTest, ModesOwnersAndTimes) {
  AttributeChange change;
  change.mode = 0755;
  EXPECT_EQ(f().setattr("a.txt", change).value().mode, S_IFREG | 0755u);
  EXPECT_EQ(f().read("a.txt").value(), "alpha\n");
  EXPECT_EQ(workdir_->getxattr(f().inode("a.txt").value(), "user.artifactfs.state").value(), "cached");
  change = {};
  change.mtime = Timestamp{123, 456};
  EXPECT_EQ(f().setattr("a.txt", change).value().mtime.nanoseconds, 456u);
  ASSERT_TRUE(f().create("new"));
  ASSERT_TRUE(f().setattr("new", change));
  EXPECT_EQ(f().stat("new").value().mtime.seconds, 123);
  change = {};
  change.mtime_now = true;
  EXPECT_GT(f().setattr("new", change).value().mtime.seconds, 123);
  change = {};
  change.mode = 06755;
  ASSERT_TRUE(f().setattr("new", change));
  change = {};
  change.uid = 12;
  EXPECT_EQ(f().setattr("new", change).value().mode, S_IFREG | 0755u);
  expect_clean();
  EXPECT_EQ(f().stat("new").value().uid, 12u);
  EXPECT_EQ(f().stat("a.txt").value().mtime.seconds, 123);
}

TEST_F(OverlayTest, ASetGroupIdDirectoryGivesItsGroup) {
  ASSERT_TRUE(f().mkdir("shared", 0777));
  AttributeChange change;
  change.gid = 77;
  ASSERT_TRUE(f().setattr("shared", change));
  change = {};
  change.mode = 02777;
  ASSERT_TRUE(f().setattr("shared", change));
  EXPECT_EQ(f().create("shared/file").value().gid, 77u);
  const auto below = f().mkdir("shared/dir").value();
  EXPECT_EQ(below.gid, 77u);
  EXPECT_EQ(below.mode, S_IFDIR | 02755u);
}

TEST_F(OverlayTest, ParentsTimesChangeWithTheirEntries) {
  const auto before = f().stat("dir").value();
  ASSERT_TRUE(f().create("dir/new"));
  EXPECT_GT(f().stat("dir").value().mtime.seconds, before.mtime.seconds);
  EXPECT_EQ(f().stat("").value().mtime.seconds, f().stat("other").value().mtime.seconds);
}

TEST_F(OverlayTest, ExtendedAttributes) {
  const InodeNumber inode = f().inode("a.txt").value();
  EXPECT_TRUE(workdir_->setxattr(inode, "user.one", "1", XattrMode::any));
  EXPECT_EQ(code_of(workdir_->setxattr(inode, "user.one", "1", XattrMode::create)), ErrorCode::already_exists);
  EXPECT_EQ(code_of(workdir_->setxattr(inode, "user.two", "1", XattrMode::replace)), ErrorCode::no_attribute);
  EXPECT_EQ(code_of(workdir_->setxattr(inode, "trusted.x", "1", XattrMode::any)), ErrorCode::not_supported);
  EXPECT_EQ(code_of(workdir_->setxattr(inode, "user.artifactfs.oid", "1", XattrMode::any)),
            ErrorCode::permission_denied);
  EXPECT_EQ(code_of(workdir_->setxattr(inode, "user.big", std::string(5000, 'x'), XattrMode::any)),
            ErrorCode::no_space);
  EXPECT_EQ(code_of(workdir_->setxattr(f().inode("link").value(), "user.x", "1", XattrMode::any)),
            ErrorCode::permission_denied);
  expect_clean();
  EXPECT_EQ(workdir_->getxattr(inode, "user.one").value(), "1");
  EXPECT_THAT(workdir_->listxattr(inode).value(), ElementsAre("user.one"));
  EXPECT_TRUE(workdir_->removexattr(inode, "user.one"));
  EXPECT_EQ(code_of(workdir_->removexattr(inode, "user.one")), ErrorCode::no_attribute);
  EXPECT_EQ(code_of(workdir_->getxattr(inode, "user.one")), ErrorCode::no_attribute);
}

TEST_F(OverlayTest, HolesSeekingAndCopying) {
  const InodeNumber inode = f().create("sparse").value().inode;
  ASSERT_TRUE(f().write(inode, 0, std::string(16384, 'x')));
  EXPECT_TRUE(Files::wait<void>([&](auto done) {
    return workdir_->fallocate(inode, {.keep_size = true, .punch_hole = true}, 4096, 8192, std::move(done));
  }));
  EXPECT_EQ(f().read(inode, 4096, 3).value(), std::string(3, '\0'));
  const auto seek = [&](InodeNumber in, SeekTo to, uint64_t at) {
    return Files::wait<std::optional<uint64_t>>([&](auto done) { return workdir_->seek(in, to, at, std::move(done)); })
        .value();
  };
  EXPECT_EQ(seek(inode, SeekTo::hole, 0), 4096u);
  EXPECT_EQ(seek(inode, SeekTo::data, 4096), 12288u);
  EXPECT_EQ(seek(inode, SeekTo::data, 16384), std::nullopt);
  const InodeNumber base_file = f().inode("a.txt").value();
  EXPECT_EQ(seek(base_file, SeekTo::data, 2), 2u);
  EXPECT_EQ(seek(base_file, SeekTo::hole, 2), 6u);
  const auto copy = [&](InodeNumber from, uint64_t at, uint64_t size) {
    return Files::wait<size_t>(
        [&](auto done) { return workdir_->copy_file_range(from, at, inode, 0, size, std::move(done)); });
  };
  EXPECT_EQ(copy(base_file, 1, 100).value(), 5u);
  EXPECT_EQ(f().read(inode, 0, 6).value(), "lpha\nx");
  const InodeNumber other = f().create("source").value().inode;
  ASSERT_TRUE(f().write(other, 0, "SOURCE"));
  EXPECT_EQ(copy(other, 0, 100).value(), 6u);
  EXPECT_EQ(f().read(inode, 0, 6).value(), "SOURCE");
}

TEST_F(OverlayTest, NamelessFilesCanBeGivenAName) {
  const auto made = workdir_->tmpfile(f().caller, kRootInode, 0600).value();
  EXPECT_EQ(made.links, 0u);
  ASSERT_TRUE(f().write(made.inode, 0, "tmp"));
  EXPECT_EQ(workdir_->link(made.inode, kRootInode, "named").value().links, 1u);
  expect_clean();
  EXPECT_EQ(f().read("named").value(), "tmp");
}

TEST_F(OverlayTest, FsyncOfEverything) {
  ASSERT_TRUE(f().create("new"));
  EXPECT_TRUE(f().fsync("new"));
  EXPECT_TRUE(f().fsync("a.txt"));
  EXPECT_TRUE(f().fsync("dir"));
  EXPECT_TRUE(f().fsync(".git"));
}

TEST_F(OverlayTest, CookiesStayWhereTheyAre) {
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(f().create("dir/n" + std::to_string(i)));
  // Read one entry a time, and change what has been and what has not been read.
  std::vector<std::string> seen;
  uint64_t cookie = 0;
  for (bool more = true; more;) {
    more = false;
    ASSERT_TRUE(workdir_->read_directory(f().inode("dir").value(), cookie, [&](const DirectoryEntry& entry) {
      if (more) return false;
      more = true;
      seen.emplace_back(entry.name);
      cookie = entry.next_cookie;
      return true;
    }));
    if (seen.back() == "n10") {
      ASSERT_TRUE(f().unlink("dir/n5"));
    }
    if (seen.back() == "n11") {
      ASSERT_TRUE(f().unlink("dir/n20"));
    }
    if (seen.back() == "one") {
      ASSERT_TRUE(f().write("dir/two", 0, "x"));
    }
  }
  EXPECT_EQ(seen.size(), 2 + 3 + 300 - 1u);
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
}

TEST(OverlayLarge, MovingADirectoryOfManyFilesIsAFewRows) {
  MemoryBase::Files files;
  for (int i = 0; i < 100'000; ++i) {
    files["big/d" + std::to_string(i % 100) + "/f" + std::to_string(i)] = {std::to_string(i)};
  }
  files["target/x"] = {"x"};
  MemoryBase base(files);
  auto workdir = base.open();
  Files f(*workdir);
  const size_t requests = base.objects().requests();
  const auto before = f.stat("big/d7/f7").value();
  ASSERT_TRUE(f.rename("big", "target/moved"));
  EXPECT_LE(workdir->changed_inodes(), 3u);
  EXPECT_EQ(f.stat("target/moved/d7/f7").value().inode, before.inode);
  EXPECT_EQ(f.read("target/moved/d99/f99999").value(), "99999");
  EXPECT_EQ(base.objects().requests(), requests + 1);
  EXPECT_EQ(f.list("target/moved/d3").size(), 1002u);
  workdir.reset();
  EXPECT_TRUE(findings_of(base.directory(), false).empty());
}

}  // namespace
}  // namespace artifactfs::test
