// `git status` costs what has changed, and is right whatever happens to the daemon and to its hook.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "tests/harness/command.h"
#include "tests/harness/git_repository.h"
#include "tests/integration/mount/artifactfs_runner.h"

namespace artifactfs::test {

namespace fs = std::filesystem;

namespace {

constexpr const char* kThreeEdits = " M d0000/d0000/f00001.txt\n D d0000/d0003/f00150.txt\n?? d0000/d0004/new.txt\n";

}  // namespace

class GitStatus : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "there is no /dev/fuse here";
    generate_bare_repository(artifactfs_ / "remote.git", {.files = 1'000});
    mount_ = artifactfs_.mount(remote(), "mnt", {"--prefetch=none"});
  }

  std::string remote() const { return "file://" + (artifactfs_ / "remote.git").string(); }

  std::string git(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "git");
    return run(arguments, artifactfs_.environment(), mount_);
  }
  std::string status() { return git({"status", "--porcelain", "--untracked-files=all"}); }

  void edit_three() {
    std::ofstream(mount_ / "d0000/d0000/f00001.txt") << "changed\n";
    fs::remove(mount_ / "d0000/d0003/f00150.txt");
    std::ofstream(mount_ / "d0000/d0004/new.txt") << "new\n";
  }

  fs::path git_dir() const { return artifactfs_.status(mount_)["git_dir"].get<std::string>(); }

  /// How many calls of `git status` name a tracked file, by strace.
  size_t calls_on_tracked_files() {
    const fs::path trace = artifactfs_ / "trace";
    run({"strace", "-f", "-o", trace.string(), "-e", "trace=%file", "git", "status"}, artifactfs_.environment(),
        mount_);
    std::ifstream lines(trace);
    size_t calls = 0;
    for (std::string line; std::getline(lines, line);) calls += line.find("d0000/") != std::string::npos ? 1 : 0;
    return calls;
  }

  ArtifactfsRunner artifactfs_;
  fs::path mount_;
};

TEST_F(GitStatus, RightAfterMountTouchesNothing) {
  if (::access("/usr/bin/strace", X_OK) != 0) GTEST_SKIP() << "there is no strace here";
  EXPECT_EQ(calls_on_tracked_files(), 0U);
  EXPECT_EQ(artifactfs_.status(mount_)["cache"]["blobs"], 0);
  EXPECT_EQ(calls_on_tracked_files(), 0U) << "the second time";
}

TEST_F(GitStatus, AfterThreeEditsReportsExactlyThese) {
  EXPECT_EQ(status(), "");
  edit_three();
  EXPECT_EQ(status(), kThreeEdits);
  EXPECT_EQ(status(), kThreeEdits) << "the second time";
  EXPECT_EQ(artifactfs_.status(mount_)["cache"]["blobs"], 0);
}

// With fsmonitor, git 2.32 to 2.42.0 shows all files as deleted in one run of sixteen.
TEST_F(GitStatus, DiffWithACommitShowsNoFileAsDeleted) {
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(git({"diff", "--stat", "HEAD"}), "");
    EXPECT_EQ(git({"diff-index", "HEAD"}), "");
    if (HasFailure()) break;
  }
}

TEST_F(GitStatus, IsRightAsTheFirstCommandAfterThreeEdits) {
  edit_three();
  EXPECT_EQ(status(), kThreeEdits);
}

TEST_F(GitStatus, IsRightWithoutTheHook) {
  edit_three();
  EXPECT_EQ(status(), kThreeEdits);
  fs::remove(git_dir().parent_path() / "fsmonitor");
  EXPECT_EQ(status(), kThreeEdits);
  std::ofstream(mount_ / "d0000/d0005/f00250.txt") << "without the hook\n";
  fs::remove(mount_ / "d0000/d0004/new.txt");
  EXPECT_EQ(status(), " M d0000/d0000/f00001.txt\n D d0000/d0003/f00150.txt\n M d0000/d0005/f00250.txt\n");
}

TEST_F(GitStatus, OfAFreshMountIsRightWithoutTheHook) {
  fs::remove(git_dir().parent_path() / "fsmonitor");
  EXPECT_EQ(status(), "");
  edit_three();
  EXPECT_EQ(status(), kThreeEdits);
}

TEST_F(GitStatus, IsRightWithAHookThatFails) {
  edit_three();
  git({"config", "core.fsmonitor", "/bin/false"});
  EXPECT_EQ(status(), kThreeEdits);
}

TEST_F(GitStatus, IsRightInALinkedWorktree) {
  const fs::path linked = artifactfs_ / "linked";
  git({"worktree", "add", "--quiet", linked.string()});
  const auto status_there = [&] {
    return run({"git", "status", "--porcelain", "--untracked-files=all"}, artifactfs_.environment(), linked);
  };
  EXPECT_EQ(status_there(), "");
  std::ofstream(linked / "d0000/d0000/f00002.txt") << "changed\n";
  EXPECT_EQ(status_there(), " M d0000/d0000/f00002.txt\n");
  EXPECT_EQ(status(), "");
  edit_three();
  EXPECT_EQ(status(), kThreeEdits);
  std::ofstream(linked / "untracked") << "u\n";
  EXPECT_EQ(status_there(), " M d0000/d0000/f00002.txt\n?? untracked\n");
}

TEST_F(GitStatus, IsRightAfterKillAndRestartOfTheDaemon) {
  edit_three();
  EXPECT_EQ(status(), kThreeEdits);
  std::ofstream(mount_ / "d0000/d0006/f00300.txt") << "before the kill\n";
  artifactfs_.kill_daemon();
  artifactfs_.start_daemon();  // which brings the mount back
  artifactfs_.wait_for_status(mount_, [](const auto& status) { return status["phase"] == "ready"; });
  const std::string expected =
      " M d0000/d0000/f00001.txt\n D d0000/d0003/f00150.txt\n M d0000/d0006/f00300.txt\n?? d0000/d0004/new.txt\n";
  EXPECT_EQ(status(), expected);
  std::ofstream(mount_ / "d0000/d0007/f00350.txt") << "after the restart\n";
  EXPECT_EQ(status(),
            " M d0000/d0000/f00001.txt\n D d0000/d0003/f00150.txt\n M d0000/d0006/f00300.txt\n"
            " M d0000/d0007/f00350.txt\n?? d0000/d0004/new.txt\n");
  EXPECT_EQ(artifactfs_.status(mount_)["cache"]["blobs"], 0);
}

}  // namespace artifactfs::test
