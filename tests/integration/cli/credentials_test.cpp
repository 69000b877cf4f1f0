// git inside a mount of a remote that wants a password: it gets the one that the mount was made with, which is nowhere
// but in memory.
#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

#include "base/base64.h"
#include "base/unique_fd.h"
#include "tests/harness/command.h"
#include "tests/harness/git_http_server.h"
#include "tests/integration/cli/cli_fixture.h"

namespace artifactfs::test {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;
using testing::Not;

class CredentialTest : public CliTest {
 protected:
  CredentialTest() : root_(base() / "served") {
    repository_.bare_clone(root_ / "repo.git");
    HttpServerOptions options;
    options.password = password_;
    server_.emplace(root_, options);
  }
  // With `user_info` in front of the host.
  std::string url(const std::string& user_info) const {
    std::string out = server_->url("auth/repo.git");
    return out.insert(out.find("://") + 3, user_info);
  }
  SubprocessOutput git(std::vector<std::string> arguments, const std::string& directory) {
    SubprocessOptions options;
    options.argv = {"git", "-c", "user.name=n", "-c", "user.email=e@x"};
    options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
    options.environment = git_environment(base());
    set_environment_value(options.environment, "GIT_TERMINAL_PROMPT", "0");
    options.working_directory = directory;
    return run_subprocess(options, {}, Clock::system().now() + std::chrono::seconds(60)).value();
  }
  // Files below `directory`, and processes, that show `secret`.
  static std::vector<std::string> showing(const std::string& secret, const fs::path& directory) {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
      if (!entry.is_regular_file()) continue;
      if (read_file(entry.path()).value_or("").find(secret) != std::string::npos) found.push_back(entry.path());
    }
    for (const auto& process : fs::directory_iterator("/proc")) {
      for (const char* shown : {"cmdline", "environ"}) {
        if (read_file(process.path() / shown).value_or("").find(secret) != std::string::npos) {
          found.push_back(process.path() / shown);
        }
      }
    }
    return found;
  }

  // Other tests on this machine have other ones.
  const std::string password_ = "s3cret&" + std::to_string(::getpid());
  const std::string user_info_ = "alice:s3cret%26" + std::to_string(::getpid()) + "@";
  const fs::path root_;
  std::optional<GitHttpServer> server_;
};

TEST_F(CredentialTest, GitInTheMountFetchesAndPushesAndTheSecretIsNowhere) {
  const std::string mnt = directory("mnt");
  const auto mounted = cli({"mount", url(user_info_), "mnt"});
  ASSERT_EQ(mounted.status, 0) << mounted.err;
  EXPECT_EQ(git({"config", "remote.origin.url"}, mnt).out, server_->url("auth/repo.git") + "\n");

  const auto fetched = git({"fetch", "origin"}, mnt);
  EXPECT_EQ(fetched.status, 0) << fetched.err;
  std::ofstream(mnt + "/hello") << "pushed\n";
  ASSERT_EQ(git({"commit", "-qam", "mine"}, mnt).status, 0);
  const auto pushed = git({"push", "-q", "origin", "HEAD:main"}, mnt);
  EXPECT_EQ(pushed.status, 0) << pushed.err;
  EXPECT_EQ(run({"git", "--git-dir=" + (root_ / "repo.git").string(), "show", "main:hello"}), "pushed\n");

  for (const auto& form : {password_, user_info_, base64_encode("alice:" + password_)}) {
    EXPECT_THAT(showing(form, base() / "state"), IsEmpty()) << form;
  }
  EXPECT_EQ(cli({"status", "--json"}).out.find(password_), std::string::npos);

  // For this remote only.
  const std::string helper = "protocol=http\nhost=example.com\n\n";
  EXPECT_EQ(run({"git", "--git-dir=" + mnt + "/.git", "-c",
                 "credential.helper=!f(){ echo username=u; echo password=p; };f", "credential", "fill"},
                git_environment(base()), base(), helper)
                .find(password_),
            std::string::npos);
  EXPECT_EQ(cli({"remove", "mnt"}).status, 0);
}

TEST_F(CredentialTest, WithoutAnAnswerGitGoesOnToTheUsersOwnHelpers) {
  const std::string mnt = directory("mnt");
  ASSERT_EQ(cli({"mount", url(user_info_), "mnt"}).status, 0);
  const std::string git_directory = read_file(mnt + "/.git").value().substr(8);
  const fs::path workspace = fs::path(git_directory).parent_path();
  const std::string host = server_->url("").substr(7, server_->url("").find('/', 7) - 7);
  const std::string about = "protocol=http\nhost=" + host + "\n";
  const std::string program = (workspace / "credential").string();
  EXPECT_EQ(run({program, "get"}, git_environment(), base(), about), "username=alice\npassword=" + password_ + "\n");
  EXPECT_EQ(run({program, "get"}, git_environment(), base(), about + "username=bob\n"), "");
  EXPECT_EQ(run({program, "get"}, git_environment(), base(), "protocol=https\nhost=" + host + "\n"), "");
  run({program, "erase"}, git_environment(), base(), about + "username=alice\npassword=another\n");
  run({program, "store"}, git_environment(), base(), about + "username=eve\npassword=theirs\n");
  EXPECT_EQ(run({program, "get"}, git_environment(), base(), about), "username=alice\npassword=" + password_ + "\n");
  run({program, "erase"}, git_environment(), base(), about + "username=alice\npassword=" + password_ + "\n");
  EXPECT_EQ(run({program, "get"}, git_environment(), base(), about), "username=alice\n");

  EXPECT_NE(git({"fetch", "origin"}, mnt).status, 0);
  const auto own = git(
      {"-c", "credential.helper=!f(){ echo username=alice; echo 'password=" + password_ + "'; };f", "fetch", "origin"},
      mnt);
  EXPECT_EQ(own.status, 0) << own.err;

  ASSERT_EQ(cli({"unmount", "mnt"}).status, 0);
  EXPECT_EQ(run({program, "get"}, git_environment(), base(), about), "");
}

}  // namespace
}  // namespace artifactfs::test
