// What cannot be mounted: one clear line, exit code 1 or 2, and nothing left behind.
#include <sys/stat.h>
#include <unistd.h>

#include <functional>

#include "tests/harness/command.h"
#include "tests/harness/git_daemon_server.h"
#include "tests/harness/git_http_server.h"
#include "tests/harness/ssh_server.h"
#include "tests/integration/mount/mount_test.h"

namespace artifactfs::test {
namespace {

namespace fs = std::filesystem;

class MountErrorsTest : public MountTest {
 protected:
  void SetUp() override {
    MountTest::SetUp();
    if (IsSkipped()) return;
    GitRepository source(artifactfs_ / "source");
    source.write_file("file", "content");
    source.commit("first");
    source.bare_clone(served() / "repo.git", {.update_server_info = true});
    for (const std::vector<std::string>& made :
         {std::vector<std::string>{"init", "--quiet", "--bare", (served() / "empty.git").string()},
          std::vector<std::string>{"init", "--quiet", "--object-format=sha256", (served() / "sha256").string()}}) {
      source.git(made);
    }
    git_in(served() / "sha256", {"commit", "--quiet", "--allow-empty", "-m", "first"});
    configure_for_serving(served() / "empty.git", {.update_server_info = true});
    configure_for_serving(served() / "sha256/.git", {});
    fs::create_directories(target());
    fs::create_directories(served() / "not a repository");
  }

  fs::path target() const { return artifactfs_ / "target"; }

  // Runs `mount <remote> <directory> <more>` and expects it to fail as above, for a reason with `cause` in it.
  void expect_refused(const std::string& what, const std::string& remote, const std::string& directory,
                      const std::string& cause, const std::vector<std::string>& more = {}, int exit_code = 1) {
    SCOPED_TRACE(what + ": mount " + remote + " " + directory);
    const auto mounted = artifactfs_.mounted();
    const auto workspaces = artifactfs_.state_entries("mounts");
    const auto stores = artifactfs_.state_entries("stores");
    std::vector<std::string> words = {"mount", remote, directory};
    words.insert(words.end(), more.begin(), more.end());
    const auto output = artifactfs_.run(words);
    EXPECT_EQ(exit_code, output.status);
    EXPECT_EQ("", output.out);
    EXPECT_TRUE(output.err.starts_with("artifactfs: cannot ")) << output.err;
    EXPECT_EQ(1, std::ranges::count(output.err, '\n')) << output.err;
    EXPECT_TRUE(output.err.ends_with('\n'));
    EXPECT_NE(std::string::npos, output.err.find(cause)) << output.err;
    EXPECT_EQ(mounted, artifactfs_.mounted());
    EXPECT_EQ(workspaces, artifactfs_.state_entries("mounts"));
    EXPECT_EQ(stores, artifactfs_.state_entries("stores"));
    EXPECT_TRUE(fs::is_empty(target()));
  }
};

TEST_F(MountErrorsTest, OneClearLineAndNothingLeft) {
  const GitHttpServer server(served(), {.tls = true});
  const GitDaemonServer daemon(served());
  const SshServer ssh;
  set_environment_value(artifactfs_.environment(), "GIT_SSH_COMMAND", ssh.ssh_command());
  artifactfs_.start_daemon();
  const std::string to = target().string();
  const std::string port = std::to_string(free_port());

  struct Case {
    std::string what, remote, cause;
  };
  const std::vector<Case> remotes = {
      {"unknown scheme", "gopher://127.0.0.1/repo", "gopher"},
      {"no host", "http:///repo.git", ""},
      {"bad port", "http://127.0.0.1:99999/repo.git", ""},
      {"unknown host", "http://no-such-host.invalid/repo.git", "no-such-host.invalid"},
      {"unknown host, git", "git://no-such-host.invalid/repo.git", "no-such-host.invalid"},
      {"refused port", "http://127.0.0.1:" + port + "/repo.git", "onnect"},
      {"refused port, git", "git://127.0.0.1:" + port + "/repo.git", "onnect"},
      {"refused port, ssh", "ssh://127.0.0.1:" + port + "/repo.git", "refused"},
      {"401", server.url("status/401/repo.git"), "401"},
      {"401 with a password", "http://u:p@127.0.0.1:" + std::to_string(server.port()) + "/auth/repo.git",
       "refuses the user name or password"},
      {"403", server.url("status/403/repo.git"), "403"},
      {"404", server.url("status/404/repo.git"), "404"},
      {"500", server.url("status/500/repo.git"), "500"},
      {"500 to the fetch", server.url("post-500/repo.git"), "500"},
      {"no such repository", server.url("missing.git"), "404"},
      {"no such repository, git", daemon.url("missing.git"), "missing.git"},
      {"no such repository, ssh", ssh.url(served() / "missing.git"), "does not appear to be a git repository"},
      {"a web page", server.url("html/repo.git"), "not"},
      {"endless redirects", server.url("redirect-loop/repo.git"), "redirect"},
      {"unknown certificate", server.tls_url("repo.git"), "certificate"},
      {"TLS to a plain port", "https://127.0.0.1:" + std::to_string(server.port()) + "/repo.git", "SSL"},
      {"empty repository", server.url("empty.git"), "the repository is empty"},
      {"empty repository, path", (served() / "empty.git").string(), "the repository is empty"},
      {"empty repository, dumb", server.url("dumb/empty.git"), "empty"},
      {"SHA-256", (served() / "sha256").string(), "SHA-256"},
      {"SHA-256 over http", server.url("sha256/.git"), "SHA-256"},
      {"missing path", (served() / "missing").string(), "missing"},
      {"no repository at the path", (served() / "not a repository").string(), "not a repository"},
      {"a file", (artifactfs_ / "source/file").string(), ""},
      {"empty remote", "", ""}};
  for (const auto& [what, remote, cause] : remotes) {
    const int exit_code = remote.empty() || what == "unknown scheme" || what == "no host" || what == "bad port" ? 2 : 1;
    expect_refused(what, remote, to, cause, {}, exit_code);
  }

  const std::string remote = server.url("repo.git");
  expect_refused("missing ref", remote, to, "no branch, tag or commit 'nope'", {"--ref", "nope"});
  expect_refused("missing commit", remote, to, std::string(40, 'a'), {"--ref", std::string(40, 'a')});
  expect_refused("a blob as ref", remote, to, "is not a commit",
                 {"--ref", git_in(artifactfs_ / "source", {"rev-parse", "HEAD:file"})}, 2);
  expect_refused("unknown FUSE option", remote, to, "nonsense", {"-o", "nonsense"}, 2);
  expect_refused("uid that is no number", remote, to, "uid=me", {"-o", "uid=me"}, 2);
  expect_refused("no timeout", remote, to, "fetch-timeout", {"--fetch-timeout", "0s"}, 2);
  expect_refused("bad timeout", remote, to, "soon", {"--fetch-timeout", "soon"}, 2);
}

TEST_F(MountErrorsTest, UnfitTargets) {
  artifactfs_.start_daemon();
  const std::string remote = (served() / "repo.git").string();
  expect_refused("missing", remote, (artifactfs_ / "missing").string(), "does not exist");
  EXPECT_FALSE(fs::exists(artifactfs_ / "missing"));
  expect_refused("missing parent", remote, (artifactfs_ / "missing/too").string(), "does not exist");
  expect_refused("a file", remote, (artifactfs_ / "source/file").string(), "not a directory");
  expect_refused("not empty", remote, (artifactfs_ / "source").string(), "not empty");
  expect_refused("in the state directory", remote, (artifactfs_.state() / "stores").string(), "inside the state", {},
                 2);
  const auto mount = artifactfs_.mount(remote);
  expect_refused("already a mount", remote, mount.string(), "already");
  expect_refused("inside another mount", remote, (mount / "file").string(), "inside", {}, 2);
  expect_refused("the remote is a mount", mount.string(), target().string(), "inside the artifactfs mount", {}, 2);
  EXPECT_EQ("content", content_of(mount / "file"));
}

TEST_F(MountErrorsTest, StateDirectoryThatCannotBeWritten) {
  for (const std::string state : {"/proc/nowhere", "/dev/null/state"}) {
    SCOPED_TRACE(state);
    set_environment_value(artifactfs_.environment(), "ARTIFACTFS_STATE_DIR", state);
    SubprocessOptions options;
    options.argv = {ARTIFACTFS_PROGRAM, "mount", (served() / "repo.git").string(), target().string()};
    options.environment = artifactfs_.environment();
    const auto output = run_subprocess(options, "", Clock::system().now() + std::chrono::minutes(1));
    ASSERT_TRUE(output);
    EXPECT_EQ(1, output->status);
    EXPECT_TRUE(output->err.starts_with("artifactfs: cannot ")) << output->err;
    EXPECT_EQ(1, std::ranges::count(output->err, '\n')) << output->err;
  }
  EXPECT_TRUE(artifactfs_.mounted().empty());
}

TEST_F(MountErrorsTest, AMachineWithoutFuse) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to make a /dev of its own";
  // In a mount namespace with a /dev that has everything but fuse.
  SubprocessOptions options;
  options.argv = {"/usr/bin/unshare",
                  "--mount",
                  "/bin/sh",
                  "-ec",
                  "mount -t tmpfs dev /dev; mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/urandom c 1 9; exec \"$@\"",
                  "sh",
                  ARTIFACTFS_PROGRAM,
                  "mount",
                  (served() / "repo.git").string(),
                  target().string(),
                  "--state-dir",
                  artifactfs_.state().string(),
                  "--idle-exit",
                  "0s"};
  options.environment = artifactfs_.environment();
  const auto output = run_subprocess(options, "", Clock::system().now() + std::chrono::minutes(1));
  ASSERT_TRUE(output);
  EXPECT_EQ(1, output->status);
  EXPECT_EQ(1, std::ranges::count(output->err, '\n')) << output->err;
  EXPECT_TRUE(output->err.starts_with("artifactfs: cannot mount '")) << output->err;
  EXPECT_NE(std::string::npos, output->err.find("/dev/fuse")) << output->err;
  EXPECT_TRUE(artifactfs_.state_entries("mounts").empty());
  EXPECT_TRUE(artifactfs_.state_entries("stores").empty());
  EXPECT_TRUE(fs::is_empty(target()));
}

TEST_F(MountErrorsTest, AnotherUsersDirectory) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
  constexpr uid_t kNobody = 65534;
  const auto state = artifactfs_ / "nobodys";
  fs::create_directories(state);
  ASSERT_EQ(0, ::chown(state.c_str(), kNobody, kNobody));
  ASSERT_EQ(0, ::chmod(artifactfs_.home().parent_path().c_str(), 0755));
  ASSERT_EQ(0, ::chmod(target().c_str(), 0755));
  const auto mount_as_nobody = [&](const std::vector<std::string>& more) {
    SubprocessOptions options;
    options.argv = {ARTIFACTFS_PROGRAM, "mount",       (served() / "repo.git").string(),
                    target().string(),  "--state-dir", (state / "state").string(),
                    "--idle-exit",      "0s"};
    options.argv.insert(options.argv.end(), more.begin(), more.end());
    options.environment = artifactfs_.environment();
    options.user = UserIds{kNobody, kNobody};
    return run_subprocess(options, "", Clock::system().now() + std::chrono::minutes(1));
  };
  for (const auto& [more, cause] :
       std::vector<std::pair<std::vector<std::string>, std::string>>{{{}, ""}, {{"-o", "uid=0"}, "only root may"}}) {
    const auto output = mount_as_nobody(more);
    ASSERT_TRUE(output);
    EXPECT_EQ(1, output->status) << output->err;
    EXPECT_TRUE(output->err.starts_with("artifactfs: cannot ")) << output->err;
    EXPECT_EQ(1, std::ranges::count(output->err, '\n')) << output->err;
    EXPECT_NE(std::string::npos, output->err.find(cause)) << output->err;
    EXPECT_TRUE(artifactfs_.mounted().empty());
  }
}

TEST_F(MountErrorsTest, WrongUsage) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"mount"}, std::vector<std::string>{"mount", "only-a-remote"},
        std::vector<std::string>{"nonsense"}, std::vector<std::string>{"mount", "a", "b", "--nonsense"},
        std::vector<std::string>{"mount", "a", "b", "--history", "sideways"}}) {
    const auto output = artifactfs_.run(words);
    EXPECT_EQ(2, output.status);
    EXPECT_TRUE(output.err.starts_with("artifactfs: ")) << output.err;
    EXPECT_EQ(1, std::ranges::count(output.err, '\n')) << output.err;
  }
}

}  // namespace
}  // namespace artifactfs::test
