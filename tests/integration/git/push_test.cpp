// A commit made in a mount and pushed is complete and sound in the server's repository, however it is reached.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "tests/harness/command.h"
#include "tests/harness/git_http_server.h"
#include "tests/harness/git_repository.h"
#include "tests/harness/ssh_server.h"
#include "tests/integration/mount/artifactfs_runner.h"

namespace artifactfs::test {

namespace fs = std::filesystem;

class PushedCommit : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "there is no /dev/fuse here";
    generate_bare_repository(remote(), {.files = 300, .commits = 3});
  }

  fs::path remote() const { return artifactfs_ / "served/remote.git"; }

  std::string git(const fs::path& directory, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"git", "-C", directory.string()});
    return run(arguments, artifactfs_.environment());
  }

  void expect_fsck_clean_after_pushing_through(const std::string& url) {
    const auto mount = artifactfs_.mount(url);
    std::ofstream(mount / "d0000/d0000/f00000.txt") << "changed\n";
    std::ofstream(mount / "new.txt") << "new\n";
    fs::remove(mount / "d0000/d0001/f00050.txt");
    git(mount, {"add", "--all"});
    git(mount, {"commit", "--quiet", "--message", "made in a mount"});
    git(mount, {"tag", "-a", "-m", "tagged", "v1"});
    git(mount, {"push", "--quiet", "origin", "main", "v1"});
    EXPECT_EQ(git(mount, {"status", "--porcelain"}), "");
    EXPECT_EQ(git(mount, {"rev-parse", "HEAD"}), git(remote(), {"rev-parse", "main"}));
    EXPECT_EQ(git(remote(), {"rev-list", "--count", "main"}), "4\n");
    EXPECT_EQ(git(remote(), {"fsck", "--full", "--strict"}), "");
    EXPECT_EQ(git(remote(), {"show", "main:d0000/d0000/f00000.txt"}), "changed\n");
    EXPECT_EQ(git(remote(), {"diff-tree", "--no-commit-id", "-r", "--name-status", "main"}),
              "M\td0000/d0000/f00000.txt\nD\td0000/d0001/f00050.txt\nA\tnew.txt\n");
  }

  ArtifactfsRunner artifactfs_;
};

TEST_F(PushedCommit, IsFsckCleanOverLocalPath) { expect_fsck_clean_after_pushing_through(remote().string()); }

TEST_F(PushedCommit, IsFsckCleanOverHttpBackend) {
  const GitHttpServer server(remote().parent_path());
  expect_fsck_clean_after_pushing_through(server.url("remote.git"));
}

TEST_F(PushedCommit, IsFsckCleanOverSsh) {
  const SshServer server;
  set_environment_value(artifactfs_.environment(), "GIT_SSH_COMMAND", server.ssh_command());
  expect_fsck_clean_after_pushing_through(server.url(remote()));
}

}  // namespace artifactfs::test
