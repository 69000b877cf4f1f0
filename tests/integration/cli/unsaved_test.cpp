// `remove` and work that is nowhere else, with the real git in a real mount.
#include <gmock/gmock.h>

#include <fstream>

#include "tests/harness/command.h"
#include "tests/integration/cli/cli_fixture.h"

namespace artifactfs::test {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST_F(CliTest, RemoveRefusesUncommittedWork) {
  const std::string mnt = directory("mnt");
  ASSERT_EQ(cli({"mount", "source", "mnt"}).status, 0);
  const auto git = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"git", "-c", "user.name=n", "-c", "user.email=e@x"});
    return run(arguments, git_environment(base()), mnt);
  };
  std::ofstream(mnt + "/hello") << "mine\n";
  std::ofstream(mnt + "/new") << "new\n";
  std::ofstream(mnt + "/.gitignore") << "*.o\n";
  std::ofstream(mnt + "/build.o") << "object\n";
  auto refused = cli({"remove", "mnt"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("3 changed files are not committed, e.g. '"));
  EXPECT_TRUE(is_mounted(mnt));

  ASSERT_EQ(cli({"unmount", "mnt"}).status, 0);
  refused = cli({"remove", "mnt"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("3 changed files are not committed, e.g. '"));

  ASSERT_EQ(cli({"mount", "source", "mnt"}).status, 0);
  git({"add", "-A"});
  git({"commit", "-qm", "mine"});
  refused = cli({"remove", "mnt"});
  EXPECT_THAT(refused.err, HasSubstr("1 commit of branch 'main' not pushed"));
  EXPECT_THAT(refused.err, Not(HasSubstr("not committed")));
  git({"push", "-q", "origin", "main:topic"});
  const auto removed = cli({"remove", "mnt"});
  EXPECT_EQ(removed.status, 0) << removed.err;
  EXPECT_EQ(repository_.git({"show", "topic:hello"}), "mine");
}

TEST_F(CliTest, RemoveSaysThatAMergeIsInProgressAndCanBeForced) {
  repository_.branch("theirs");
  const std::string mnt = directory("mnt");
  repository_.write_file("hello", "ours\n");
  repository_.commit("ours");
  repository_.checkout("theirs");
  repository_.write_file("hello", "theirs\n");
  repository_.commit("theirs");
  repository_.checkout("main");
  ASSERT_EQ(cli({"mount", "source", "mnt"}).status, 0);
  Environment environment = git_environment(base());
  SubprocessOptions merge;
  // Written last of what the daemon brings in the background.
  ASSERT_TRUE(wait_until([&] {
    return run({"git", "branch", "-r"}, environment, mnt).find("theirs") != std::string::npos;
  }));
  run({"git", "fetch", "-q", "--unshallow", "origin"}, environment, mnt);
  merge.argv = {"git", "-c", "user.name=n", "-c", "user.email=e@x", "merge", "-q", "origin/theirs"};
  merge.environment = environment;
  merge.working_directory = mnt;
  EXPECT_EQ(run_subprocess(merge, {}, Clock::system().now() + std::chrono::seconds(30)).value().status, 1);
  const auto refused = cli({"remove", "mnt"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("a merge is in progress"));
  EXPECT_THAT(refused.err, HasSubstr("1 changed file is not committed: 'hello'"));
  EXPECT_EQ(cli({"remove", "mnt", "--force"}).status, 0);
  expect_no_mounts();
}

}  // namespace
}  // namespace artifactfs::test
