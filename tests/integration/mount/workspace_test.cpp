// The life of a workspace: unmounted and resumed, removed, refused to be removed.
#include <fcntl.h>
#include <unistd.h>

#include "tests/harness/command.h"
#include "tests/integration/mount/mount_test.h"

namespace artifactfs::test {
namespace {

namespace fs = std::filesystem;

class WorkspaceTest : public MountTest {
 protected:
  std::string serve_repository() {
    GitRepository source(artifactfs_ / "source");
    source.write_file("file", "content");
    source.commit("first");
    source.bare_clone(served() / "repo.git");
    return (served() / "repo.git").string();
  }
};

void commit_in(const fs::path& directory) { git_in(directory, {"commit", "--quiet", "--allow-empty", "-m", "mine"}); }

TEST_F(MountTest, UnmountedWorkspaceIsResumed) {
  GitRepository source(artifactfs_ / "source");
  source.write_file("file", "one");
  const std::string first = source.commit("first");
  source.bare_clone(served() / "repo.git");
  const std::string remote = (served() / "repo.git").string();

  const auto mount = artifactfs_.mount(remote);  // starts the daemon
  const auto id = artifactfs_.status(mount)["mount_id"];
  commit_in(mount);
  git_in(mount, {"branch", "mine"});
  const std::string mine = git_in(mount, {"rev-parse", "HEAD"});
  artifactfs_.unmount(mount);
  EXPECT_TRUE(fs::is_empty(mount));
  EXPECT_EQ("unmounted", artifactfs_.status(mount)["phase"]);

  // The remote goes on; the workspace stays at its commit.
  source.write_file("file", "two");
  source.commit("second");
  source.git({"push", "--quiet", remote, "main"});
  artifactfs_.mount(remote);
  EXPECT_EQ(id, artifactfs_.status(mount)["mount_id"]);
  EXPECT_EQ(first, artifactfs_.status(mount)["commit"]);
  EXPECT_EQ("one", content_of(mount / "file"));
  EXPECT_EQ(mine, git_in(mount, {"rev-parse", "mine"}));
  EXPECT_EQ(mine, git_in(mount, {"rev-parse", "HEAD"}));

  // Another remote or ref on the same directory would lose it.
  artifactfs_.unmount(mount);
  source.bare_clone(served() / "other.git");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"mount", (served() / "other.git").string(), mount.string()},
        std::vector<std::string>{"mount", remote, mount.string(), "--ref", "other"}}) {
    const auto refused = artifactfs_.run(words);
    EXPECT_EQ(1, refused.status);
    EXPECT_NE(std::string::npos, refused.err.find("is kept for this directory")) << refused.err;
  }
  EXPECT_EQ(1u, artifactfs_.state_entries("mounts").size());
}

TEST_F(MountTest, RemoveRefusesUnpushedWork) {
  GitRepository source(artifactfs_ / "source");
  source.write_file("file", "one");
  source.commit("first");
  source.bare_clone(served() / "repo.git");
  const std::string remote = (served() / "repo.git").string();
  artifactfs_.start_daemon();
  const auto mount = artifactfs_.mount(remote);
  commit_in(mount);
  commit_in(mount);

  const auto expect_refused = [&](const std::string& why) {
    const auto output = artifactfs_.run({"remove", mount.string()});
    EXPECT_EQ(1, output.status);
    EXPECT_TRUE(output.err.starts_with("artifactfs: cannot remove '")) << output.err;
    EXPECT_NE(std::string::npos, output.err.find(why)) << output.err;
    EXPECT_NE(std::string::npos, output.err.find("--force")) << output.err;
    EXPECT_EQ(1u, artifactfs_.state_entries("mounts").size());
  };
  expect_refused("2 commits of branch 'main' not pushed");
  EXPECT_EQ("one", content_of(mount / "file")) << "it is still mounted";
  artifactfs_.unmount(mount);
  expect_refused("2 commits of branch 'main' not pushed");

  // Pushed, it goes without a question.
  artifactfs_.mount(remote);
  git_in(mount, {"push", "--quiet", "origin", "main"});
  artifactfs_.must_run({"remove", mount.string()});
  EXPECT_TRUE(artifactfs_.state_entries("mounts").empty());
  EXPECT_TRUE(artifactfs_.mounted().empty());

  // Work on a branch that is not checked out, and on none.
  artifactfs_.mount(remote);
  git_in(mount, {"switch", "--quiet", "--detach"});
  commit_in(mount);
  expect_refused("1 commit of HEAD not pushed");
  git_in(mount, {"branch", "kept"});
  git_in(mount, {"symbolic-ref", "HEAD", "refs/heads/main"});
  expect_refused("1 commit of branch 'kept' not pushed");
  artifactfs_.must_run({"remove", mount.string(), "--force"});
  EXPECT_TRUE(artifactfs_.state_entries("mounts").empty());
}

TEST_F(WorkspaceTest, BusyUnmountNamesTheHolder) {
  const std::string remote = serve_repository();
  artifactfs_.start_daemon();
  const auto mount = artifactfs_.mount(remote);
  const UniqueFd held(::open((mount / "file").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(held);
  const auto output = artifactfs_.run({"unmount", mount.string()});
  EXPECT_EQ(1, output.status);
  EXPECT_NE(std::string::npos, output.err.find("pid " + std::to_string(::getpid()))) << output.err;
  EXPECT_EQ("content", content_of(mount / "file"));
  artifactfs_.must_run({"unmount", mount.string(), "--force"});
  EXPECT_TRUE(artifactfs_.mounted().empty());
}

TEST_F(WorkspaceTest, PlainUmountEndsTheMountAndKeepsTheWorkspace) {
  const std::string remote = serve_repository();
  artifactfs_.start_daemon();
  const auto mount = artifactfs_.mount(remote);
  run({"umount", mount.string()});
  artifactfs_.wait_for_status(mount, [](const auto& status) { return status["phase"] == "unmounted"; });
  artifactfs_.mount(remote);
  EXPECT_EQ("content", content_of(mount / "file"));
}

TEST_F(WorkspaceTest, ForegroundMountEndsWithItsProcess) {
  const std::string remote = serve_repository();
  const auto mount = artifactfs_ / "mnt";
  fs::create_directories(mount);
  {
    const ServerProcess foreground({ARTIFACTFS_PROGRAM, "mount", remote, mount.string(), "--foreground", "--state-dir",
                                    artifactfs_.state().string()},
                                   git_environment(artifactfs_.home()), artifactfs_ / "foreground.log",
                                   [&] { return fs::exists(mount / "file"); });
    EXPECT_EQ("content", content_of(mount / "file"));
    EXPECT_EQ("ready", artifactfs_.status(mount)["phase"]);
  }
  EXPECT_TRUE(artifactfs_.mounted().empty());
  EXPECT_EQ(1u, artifactfs_.state_entries("mounts").size());
}

TEST_F(WorkspaceTest, GcDropsOnlyWhatNoWorkspaceNeeds) {
  const std::string remote = serve_repository();
  artifactfs_.start_daemon();
  const auto mount = artifactfs_.mount(remote);
  artifactfs_.must_run({"gc"});
  artifactfs_.unmount(mount);
  artifactfs_.must_run({"gc"});
  EXPECT_EQ(1u, artifactfs_.state_entries("stores").size());
  artifactfs_.must_run({"remove", mount.string()});
  EXPECT_EQ(1u, artifactfs_.state_entries("stores").size());
  artifactfs_.must_run({"gc"});
  EXPECT_TRUE(artifactfs_.state_entries("stores").empty());
}

}  // namespace
}  // namespace artifactfs::test
