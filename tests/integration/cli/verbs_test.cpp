#include <gmock/gmock.h>

#include "base/unique_fd.h"
#include "tests/integration/cli/cli_fixture.h"

namespace artifactfs::test {
namespace {

using testing::HasSubstr;

TEST_F(CliTest, MountStatusUnmountResumeRemoveGc) {
  const std::string mnt = directory("mnt");
  const auto mounted = cli({"mount", "source", "mnt", "--prefetch=none", "--history=shallow", "--fetch-timeout", "5s"});
  ASSERT_EQ(mounted.status, 0) << mounted.err;
  EXPECT_EQ(mounted.err, "") << "progress is for terminals";
  EXPECT_EQ(read_file(mnt + "/hello").value(), "hello\n");

  const auto json = status();
  EXPECT_EQ(json["daemon"]["pid"], json["daemon"]["worker_pid"]);
  const auto one = nlohmann::json::parse(cli({"status", "mnt/directory", "--json"}).out);
  EXPECT_EQ(one["dir"], mnt);
  EXPECT_EQ(one["remote"], source());
  EXPECT_EQ(one["branch"], "main");
  EXPECT_EQ(one["commit"], repository_.rev_parse("HEAD"));
  EXPECT_EQ(one["options"]["fetch_timeout_ms"], 5000);
  EXPECT_EQ(one["options"]["prefetch"], "none");
  EXPECT_THAT(cli({"list"}).out, HasSubstr(mnt));
  EXPECT_THAT(cli({"status"}).out, HasSubstr("daemon: pid"));
  EXPECT_THAT(cli({"status", "mnt"}).out, HasSubstr("git directory"));

  // The base stays what it was, whatever the remote does meanwhile.
  repository_.write_file("hello", "changed\n");
  repository_.commit("two");
  ASSERT_EQ(cli({"unmount", "mnt"}).status, 0);
  expect_no_mounts();
  EXPECT_EQ(phase(mnt), "unmounted");
  ASSERT_EQ(cli({"mount", "source", "mnt"}).status, 0);
  EXPECT_EQ(read_file(mnt + "/hello").value(), "hello\n");

  ASSERT_EQ(cli({"remove", "mnt"}).status, 0);
  EXPECT_EQ(cli({"gc"}).status, 0);
  expect_empty_state();
}

TEST_F(CliTest, ABusyMountNamesItsHolderAndCanBeForced) {
  const std::string mnt = directory("mnt");
  ASSERT_EQ(cli({"mount", "source", "mnt"}).status, 0);
  SubprocessOptions options;
  options.argv = {"sleep", "60"};
  options.environment = current_environment();
  options.working_directory = mnt;
  auto holder = Subprocess::start(options);
  ASSERT_TRUE(holder);
  const auto refused = cli({"unmount", "mnt"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("pid " + std::to_string(holder->pid()) + " (sleep) has its working directory"));
  EXPECT_EQ(cli({"unmount", "--force", "mnt"}).status, 0);
  expect_no_mounts();
}

TEST_F(CliTest, ReadVerbsNeedNoDaemonAndMakeNothing) {
  EXPECT_EQ(cli({"list"}).status, 0);
  const auto json = status();
  EXPECT_TRUE(json["daemon"].is_null());
  EXPECT_TRUE(json["mounts"].empty());
  EXPECT_EQ(cli({"unmount", "mnt"}).status, 1);
  EXPECT_FALSE(std::filesystem::exists(base() / "state"));
}

TEST_F(CliTest, HelpAndVersionEverywhere) {
  EXPECT_THAT(cli({"--version"}).out, HasSubstr("artifactfs 0."));
  EXPECT_THAT(cli({"--help"}).out, HasSubstr("mount"));
  for (const char* verb : {"mount", "unmount", "remove", "gc", "list", "status", "daemon"}) {
    const auto help = cli({verb, "--help"});
    EXPECT_EQ(help.status, 0) << verb;
    EXPECT_THAT(help.out, HasSubstr("--state-dir")) << verb;
    EXPECT_EQ(cli({verb, "--version"}).status, 0) << verb;
  }
}

}  // namespace
}  // namespace artifactfs::test
