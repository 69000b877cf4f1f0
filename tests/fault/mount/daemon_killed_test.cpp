// kill -9 of the daemon: the next one brings its mounts back, over what the dead one left.
#include <cerrno>

#include "tests/harness/command.h"
#include "tests/harness/git_http_server.h"
#include "tests/integration/mount/mount_test.h"

namespace artifactfs::test {
namespace {

namespace fs = std::filesystem;

class DaemonKilledTest : public MountTest {
 protected:
  void SetUp() override {
    MountTest::SetUp();
    if (IsSkipped()) return;
    GitRepository source(artifactfs_ / "source");
    source.write_file("read", "read");
    source.write_file("unread", "unread");
    source.write_file("large", noise(2'000'000, 1));
    source.commit("first");
    source.bare_clone(served() / "repo.git");
    plain_checkout(served() / "repo.git", artifactfs_ / "checkout");
    server_ = std::make_unique<GitHttpServer>(served());
  }

  void expect_dead(const fs::path& mount) const {
    // What the kernel has cached can be read even now.
    EXPECT_EQ(ENOTCONN, read_error(mount / "never looked at"));
    EXPECT_FALSE(artifactfs_.mounted().empty());
  }

  std::unique_ptr<GitHttpServer> server_;
};

TEST_F(DaemonKilledTest, ANewDaemonBringsItsMountsBack) {
  artifactfs_.start_daemon();
  const auto one = artifactfs_.mount(server_->url("repo.git"), "one", {"--prefetch=none"});
  const auto two = artifactfs_.mount((served() / "repo.git").string(), "two");
  const auto kept = artifactfs_.mount((served() / "repo.git").string(), "kept");
  artifactfs_.unmount(kept);
  EXPECT_EQ("read", content_of(one / "read"));
  git_in(one, {"commit", "--quiet", "--allow-empty", "-m", "mine"});
  const std::string mine = git_in(one, {"rev-parse", "HEAD"});
  for (int round = 0; round < 3; ++round) {
    artifactfs_.kill_daemon();
    expect_dead(one);
    expect_dead(two);
    artifactfs_.start_daemon();
    for (const auto& mount : {one, two}) {
      artifactfs_.wait_for_status(mount, [](const auto& status) { return status["phase"] == "ready"; });
      expect_same_content(artifactfs_ / "checkout", mount);
    }
    EXPECT_EQ(mine, git_in(one, {"rev-parse", "HEAD"}));
    EXPECT_EQ(4u, artifactfs_.mounted().size());  // each with the object directory that git sees
    EXPECT_EQ("unmounted", artifactfs_.status(kept)["phase"]);
  }
}

TEST_F(DaemonKilledTest, MountingAgainStartsADaemonThatBringsItBack) {
  const std::string remote = server_->url("repo.git");
  const auto mount = artifactfs_.mount(remote);
  artifactfs_.kill_daemon();
  expect_dead(mount);
  const auto other = artifactfs_.mount(remote, "other");  // starts a daemon
  expect_same_content(artifactfs_ / "checkout", other);
  artifactfs_.wait_for_status(mount, [](const auto& status) { return status["phase"] == "ready"; });
  expect_same_content(artifactfs_ / "checkout", mount);

  artifactfs_.kill_daemon();
  const auto output = artifactfs_.run({"mount", remote, mount.string()});  // the very one that is brought back
  EXPECT_EQ(0, output.status) << output.err;
  artifactfs_.wait_for_status(mount, [](const auto& status) { return status["phase"] == "ready"; });
  expect_same_content(artifactfs_ / "checkout", mount);
}

TEST_F(DaemonKilledTest, UnmountCleansUpAfterADeadDaemon) {
  const auto mount = artifactfs_.mount(server_->url("repo.git"));
  artifactfs_.kill_daemon();
  const auto output = artifactfs_.run({"unmount", mount.string()});
  EXPECT_EQ(0, output.status) << output.err;
  EXPECT_TRUE(artifactfs_.mounted().empty());
  EXPECT_EQ("unmounted", artifactfs_.status(mount)["phase"]);
}

TEST_F(DaemonKilledTest, KilledWhileItFetches) {
  // Nothing half-written is ever taken for whole.
  for (int round = 0; round < 5; ++round) {
    artifactfs_.start_daemon();
    const auto mount = artifactfs_ / "mnt";
    if (round == 0) {
      artifactfs_.mount(server_->url("repo.git"));
    } else {
      artifactfs_.wait_for_status(mount, [](const auto& status) { return status["phase"] == "ready"; });
    }
    SubprocessOptions options;
    options.argv = {"cat", (mount / "large").string()};
    options.environment = current_environment();
    auto reader = Subprocess::start(options);
    ASSERT_TRUE(reader);
    artifactfs_.kill_daemon();
    (void)reader->wait();
  }
  artifactfs_.start_daemon();
  artifactfs_.wait_for_status(artifactfs_ / "mnt", [](const auto& status) { return status["phase"] == "ready"; });
  expect_same_content(artifactfs_ / "checkout", artifactfs_ / "mnt");
}

}  // namespace
}  // namespace artifactfs::test
