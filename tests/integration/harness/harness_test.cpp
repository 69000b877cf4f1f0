// The harness itself: stock git works against each of its servers, and the proxy misbehaves as told.
#include <gtest/gtest.h>
#include <signal.h>

#include <cerrno>
#include <chrono>

#include "tests/harness/command.h"
#include "tests/harness/delay_proxy.h"
#include "tests/harness/git_daemon_server.h"
#include "tests/harness/git_http_server.h"
#include "tests/harness/git_repository.h"
#include "tests/harness/ssh_server.h"
#include "tests/harness/temporary_directory.h"

namespace artifactfs::test {
namespace {

class HarnessTest : public testing::Test {
 protected:
  void SetUp() override {
    GitRepository repository(directory_ / "source");
    repository.write_file("bin/run", "#!/bin/sh\n", true);
    repository.make_symlink("link", "bin/run");
    repository.submodule("vendor/lib", "1111111111111111111111111111111111111111");
    first_ = repository.commit("first");
    repository.branch("topic");
    repository.annotated_tag("v1", "one");
    repository.write_file("bin/run", "#!/bin/sh\nexit 0\n", true);
    head_ = repository.commit("second");
    repository.bare_clone(directory_ / "served/repo.git", {.update_server_info = true});
  }

  std::string head_of(const std::string& url, Environment environment = git_environment()) const {
    return run({"git", "ls-remote", url, "refs/heads/main"}, environment).substr(0, 40);
  }

  TemporaryDirectory directory_;
  std::string first_, head_;
};

TEST_F(HarnessTest, RepositoriesAreTheSameEverywhere) {
  EXPECT_EQ(first_, "e376db7c42d77497ae6b95a904e2af2211390b35");
  GitRepository repository(directory_ / "source");
  EXPECT_EQ(repository.git({"ls-tree", "-r", "--format=%(objectmode) %(path)", first_}),
            "100755 bin/run\n120000 link\n160000 vendor/lib");
}

TEST_F(HarnessTest, HttpServesGitAndLogs) {
  const GitHttpServer server(directory_ / "served", {.tls = true});
  EXPECT_EQ(head_of(server.url("repo.git")), head_) << server.error_log();
  const auto log = server.wait_for_requests(2);
  EXPECT_EQ(log[0].target, "/repo.git/info/refs?service=git-upload-pack");
  EXPECT_EQ(log[0].git_protocol, "version=2");
  EXPECT_EQ(log[1].method, "POST");
  EXPECT_EQ(log[0].connection, log[1].connection);
  EXPECT_EQ(head_of(server.url("old/repo.git")), head_);
  EXPECT_EQ(head_of(server.url("dumb/repo.git")), head_);
  EXPECT_EQ(head_of(server.url("redirect/repo.git")), head_);
  EXPECT_THROW(head_of(server.url("auth/repo.git")), std::runtime_error);
  EXPECT_THROW(head_of(server.url("status/500/repo.git")), std::runtime_error);
  auto environment = git_environment();
  set_environment_value(environment, "GIT_SSL_CAINFO", server.ca_file().string());
  EXPECT_EQ(head_of(server.tls_url("repo.git"), environment), head_) << server.error_log();
  EXPECT_EQ(server.access_log().back().http_version, "HTTP/2.0");
  std::string with_user = server.url("auth/repo.git");
  with_user.insert(std::string("http://").size(), "alice:s3cret%26word@");
  EXPECT_EQ(head_of(with_user), head_);
}

TEST_F(HarnessTest, HttpInflatesAndStreamsAGeneratedRepository) {
  const std::string head = generate_bare_repository(directory_ / "served/many.git", {.files = 3000, .commits = 3});
  const GitHttpServer server(directory_ / "served");
  run({"git", "clone", "--quiet", "--filter=blob:none", "--depth=1", server.url("many.git"),
       (directory_ / "clone").string()},
      git_environment());
  EXPECT_EQ(run({"git", "-C", (directory_ / "clone").string(), "rev-parse", "HEAD"}, git_environment()).substr(0, 40),
            head);
  bool gzipped = false;
  for (const auto& entry : server.access_log()) gzipped = gzipped || entry.content_encoding == "gzip";
  EXPECT_TRUE(gzipped);
}

TEST_F(HarnessTest, GitDaemonServes) {
  const GitDaemonServer server(directory_ / "served");
  EXPECT_EQ(head_of(server.url("repo.git")), head_) << server.log();
}

TEST_F(HarnessTest, SshServes) {
  const SshServer server;
  auto environment = git_environment();
  set_environment_value(environment, "GIT_SSH_COMMAND", server.ssh_command());
  EXPECT_EQ(head_of(server.url(directory_ / "served/repo.git"), environment), head_) << server.log();
}

TEST_F(HarnessTest, ServersEndWithTheirOwner) {
  pid_t pid = 0;
  {
    ServerProcess process({"sleep", "1000"}, current_environment(), directory_ / "log", [] { return true; });
    pid = process.pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(HarnessTest, ProxyDelaysByTheRoundTripTime) {
  const GitHttpServer server(directory_ / "served");
  const DelayProxy proxy("127.0.0.1", server.port(), std::chrono::milliseconds(30));
  const auto start = std::chrono::steady_clock::now();
  const std::string url = "http://127.0.0.1:" + std::to_string(proxy.port()) + "/repo.git";
  EXPECT_EQ(head_of(url), head_);
  // The connection, the advertisement and ls-refs: a round trip each, at least.
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(90));
  EXPECT_EQ(proxy.counters().connections, 1U);
  EXPECT_GT(proxy.counters().bytes_to_client, 100U);
}

TEST_F(HarnessTest, ProxyMisbehavesOnCommand) {
  const GitHttpServer server(directory_ / "served");
  DelayProxy proxy("127.0.0.1", server.port());
  const std::string url = "http://127.0.0.1:" + std::to_string(proxy.port()) + "/repo.git";
  proxy.cut_answers_after(150, 1);
  EXPECT_THROW(head_of(url), std::runtime_error);
  EXPECT_EQ(head_of(url), head_);
  proxy.corrupt_answers_at(0, 1);
  EXPECT_THROW(head_of(url), std::runtime_error);
  EXPECT_EQ(head_of(url), head_);
  proxy.set_refuse(true);
  EXPECT_THROW(head_of(url), std::runtime_error);
  proxy.set_refuse(false);
  EXPECT_EQ(head_of(url), head_);
  proxy.set_hang(true);
  EXPECT_THROW(run({"timeout", "1", "git", "ls-remote", url}, git_environment()), std::runtime_error);
  proxy.set_hang(false);
  EXPECT_EQ(head_of(url), head_);
}

}  // namespace
}  // namespace artifactfs::test
