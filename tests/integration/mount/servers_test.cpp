// Every way to reach a repository, and every kind of server, mounts the same tree.
#include <fstream>

#include "tests/harness/git_daemon_server.h"
#include "tests/harness/git_http_server.h"
#include "tests/harness/ssh_server.h"
#include "tests/integration/mount/mount_test.h"

namespace artifactfs::test {
namespace {

void write_small_tree(GitRepository& source) {
  for (int i = 0; i < 100; ++i)
    source.write_file("d" + std::to_string(i % 5) + "/f" + std::to_string(i), noise(700, 1));
  source.write_file("large", noise(3'000'000, 2));
  source.write_file("tool", "#!/bin/sh\n", true);
  source.make_symlink("link", "large");
  source.commit("first");
  source.write_file("d1/new", "new");
  source.commit("second");
  source.annotated_tag("v1", "one");
}

TEST_F(MountTest, EveryTransportMounts) {
  GitRepository source(artifactfs_ / "source");
  write_small_tree(source);
  const auto repository = served() / "repo.git";
  source.bare_clone(repository);
  source.git({"config", "uploadpack.allowFilter", "true"});
  plain_checkout(repository, artifactfs_ / "checkout");
  const GitHttpServer http(served(), {.tls = true});
  const GitDaemonServer daemon(served());
  const SshServer ssh;
  set_environment_value(artifactfs_.environment(), "GIT_SSH_COMMAND", ssh.ssh_command());
  std::ofstream(artifactfs_.home() / ".gitconfig") << "[http]\n\tsslCAInfo = " << http.ca_file().string() << "\n";
  artifactfs_.start_daemon();

  const std::vector<std::pair<std::string, std::string>> remotes = {
      {"http", http.url("repo.git")},      {"redirected", http.url("redirect/repo.git")},
      {"https", http.tls_url("repo.git")}, {"git", daemon.url("repo.git")},
      {"ssh", ssh.url(repository)},        {"file", "file://" + repository.string()},
      {"path", repository.string()},       {"relative", "served/repo.git"},
      {"worktree", source.path().string()}};
  for (const auto& [name, remote] : remotes) {
    SCOPED_TRACE(name);
    const auto mount = artifactfs_.mount(remote, name);
    expect_same_content(artifactfs_ / "checkout", mount);
    EXPECT_EQ(source.rev_parse("HEAD"), git_in(mount, {"rev-parse", "HEAD"}));
    EXPECT_EQ("", artifactfs_.status(mount)["limitation"]);
    EXPECT_EQ("", artifactfs_.status(mount)["last_error"]);
  }
}

TEST_F(MountTest, UsersDoNotShareAStore) {
  GitRepository source(artifactfs_ / "source");
  source.write_file("file", "content");
  source.commit("first");
  source.bare_clone(served() / "repo.git");
  const GitHttpServer server(served());
  artifactfs_.start_daemon();
  const std::string at = "127.0.0.1:" + std::to_string(server.port()) + "/repo.git";
  const std::vector<std::pair<std::string, size_t>> remotes = {{"http://" + at, 1},
                                                               {"http://alice@" + at, 2},
                                                               {"http://bob@" + at, 3},
                                                               {"http://alice:other-password@" + at, 3}};
  int number = 0;
  for (const auto& [remote, stores] : remotes) {
    const auto mount = artifactfs_.mount(remote, "mnt" + std::to_string(++number));
    EXPECT_EQ("content", content_of(mount / "file"));
    EXPECT_EQ(stores, artifactfs_.state_entries("stores").size()) << remote;
  }
}

TEST_F(MountTest, BranchTagAndCommitCanBeMounted) {
  GitRepository source(artifactfs_ / "source");
  source.write_file("file", "one");
  const std::string first = source.commit("first");
  source.annotated_tag("v1", "one");
  source.branch("feature/x");
  source.write_file("file", "two");
  const std::string second = source.commit("second");
  source.bare_clone(served() / "repo.git");
  const GitHttpServer server(served());
  artifactfs_.start_daemon();
  struct Case {
    std::string ref, commit, head;
  };
  for (const auto& [ref, commit, head] :
       {Case{"main", second, "main"}, Case{"feature/x", first, "feature/x"}, Case{"v1", first, "HEAD"},
        Case{first, first, "HEAD"}, Case{"refs/heads/main", second, "main"}, Case{"refs/tags/v1", first, "HEAD"}}) {
    SCOPED_TRACE(ref);
    const auto mount = artifactfs_.mount(server.url("repo.git"), "mnt", {"--ref", ref});
    EXPECT_EQ(commit, git_in(mount, {"rev-parse", "HEAD"}));
    EXPECT_EQ(head, git_in(mount, {"rev-parse", "--abbrev-ref", "HEAD"}));
    EXPECT_EQ(commit == first ? "one" : "two", content_of(mount / "file"));
    artifactfs_.must_run({"remove", mount.string()});
  }
}

TEST_F(MountTest, ServersWithoutFiltersShallowOrVersion2StillMount) {
  GitRepository source(artifactfs_ / "source");
  write_small_tree(source);
  source.bare_clone(served() / "repo.git", {.update_server_info = true});
  source.bare_clone(served() / "plain.git", {.allow_filter = false, .allow_any_sha1 = false});
  plain_checkout(served() / "repo.git", artifactfs_ / "checkout");
  const GitHttpServer server(served());
  const GitDaemonServer daemon(served());
  artifactfs_.start_daemon();

  struct Case {
    std::string name, remote, limitation;
  };
  const std::vector<Case> cases = {
      {"no filter", server.url("plain.git"), "does not support filters"},
      {"no filter over git", daemon.url("plain.git"), "does not support filters"},
      {"no filter, path: we start its server ourselves", (served() / "plain.git").string(), ""},
      {"version 0", server.url("old/repo.git"), "only protocol version 0"},
      {"version 0, no filter", server.url("old/plain.git"), "only protocol version 0"},
      {"dumb", server.url("dumb/repo.git"), "does not speak git's smart protocol"}};
  for (const auto& [name, remote, limitation] : cases) {
    SCOPED_TRACE(name);
    const auto mount = artifactfs_.mount(remote, name);
    expect_same_content(artifactfs_ / "checkout", mount);
    const auto listed = ls_tree(served() / "repo.git");
    EXPECT_EQ(listed.at("large").size_bytes, static_cast<uint64_t>(stat_of(mount / "large").st_size));
    EXPECT_EQ(source.rev_parse("HEAD"), git_in(mount, {"rev-parse", "HEAD"}));
    const std::string shown = artifactfs_.status(mount)["limitation"];
    EXPECT_NE(std::string::npos, shown.find(limitation)) << shown;
    EXPECT_NE(std::string::npos, artifactfs_.must_run({"status", mount.string()}).find(limitation));
    EXPECT_NE(std::string::npos, artifactfs_.log().find(limitation));
    artifactfs_.unmount(mount);
    artifactfs_.mount(remote, name);
    expect_same_content(artifactfs_ / "checkout", mount);
  }
}

}  // namespace
}  // namespace artifactfs::test
