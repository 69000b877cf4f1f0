#include <gmock/gmock.h>

#include <algorithm>

#include "tests/integration/cli/cli_fixture.h"

namespace artifactfs::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST_F(CliTest, EachRefusalIsOneLineAndLeavesNothing) {
  directory("mnt");
  directory("full/child");
  repository_.git({"init", "--bare", "-q", (base() / "empty.git").string()});
  struct Case {
    std::vector<std::string> arguments;
    int status;
    std::string words;
  };
  const std::vector<Case> cases = {
      {{"mount", "source", "missing"}, 1, "does not exist"},
      {{"mount", "source", "full"}, 1, "not empty"},
      {{"mount", "source", "source/hello"}, 1, "not a directory"},
      {{"mount", "source", "/proc"}, 1, "already a mount point"},
      {{"mount", "source", "state/mounts"}, 2, "inside the state directory"},
      {{"mount", "nothing-here", "mnt"}, 1, "nothing-here"},
      {{"mount", "empty.git", "mnt"}, 1, "empty"},
      {{"mount", "source", "mnt", "--ref", "no-such-ref"}, 1, "no-such-ref"},
      {{"mount", "gopher://host/r", "mnt"}, 2, "gopher"},
      {{"mount", "http://127.0.0.1:1/r", "mnt"}, 1, "127.0.0.1"},
      {{"mount", "source", "mnt", "-o", "no_such_option"}, 2, "no_such_option"},
      {{"mount", "source", "mnt", "-o", "uid=x"}, 2, "uid=x"},
      {{"mount", "source", "mnt", "--fetch-timeout", "soon"}, 2, "soon"},
      {{"mount", "source", "mnt", "--fetch-timeout", "0s"}, 2, "0s"},
      {{"mount", "source", "mnt", "--history=full"}, 2, "full"},
      {{"mount", "source", "mnt", "--prefetch=some"}, 2, "some"},
      {{"mount", "source"}, 2, "dir"},
      {{"mount", "source", "mnt", "--no-such-flag"}, 2, "--no-such-flag"},
      {{"mount", "source", "mnt", "--state-dir", "/proc/artifactfs"}, 1, "/proc/artifactfs"},
      {{"unmount", "mnt"}, 1, "not mounted"},
      {{"remove", "mnt"}, 1, "no workspace"},
      {{"status", "mnt"}, 1, "no workspace"},
      {{"daemon", "--log-level", "loud"}, 2, "loud"},
      {{"frobnicate"}, 2, "frobnicate"},
      {{}, 2, "verb is required"},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(testing::PrintToString(one.arguments));
    const auto output = cli(one.arguments);
    EXPECT_EQ(output.status, one.status);
    EXPECT_THAT(output.err, StartsWith("artifactfs: "));
    EXPECT_THAT(output.err, HasSubstr(one.words));
    EXPECT_EQ(std::ranges::count(output.err, '\n'), 1) << output.err;
    expect_empty_state();
  }
}

TEST_F(CliTest, NothingIsMountedInsideAMountNorFromOne) {
  const std::string mnt = directory("mnt");
  directory("other");
  ASSERT_EQ(cli({"mount", "source", "mnt"}).status, 0);
  EXPECT_THAT(cli({"mount", "source", "mnt/directory"}).err, HasSubstr("inside the artifactfs mount '" + mnt + "'"));
  EXPECT_THAT(cli({"mount", "mnt", "other"}).err, HasSubstr("inside the artifactfs mount '" + mnt + "'"));
  EXPECT_THAT(cli({"mount", "source", "mnt"}).err, HasSubstr("already mounted"));
  EXPECT_FALSE(is_mounted(directory("other")));
}

TEST_F(CliTest, AKeptWorkspaceIsNotTakenForAnotherRefOrRemote) {
  directory("mnt");
  ASSERT_EQ(cli({"mount", "source", "mnt"}).status, 0);
  ASSERT_EQ(cli({"unmount", "mnt"}).status, 0);
  EXPECT_THAT(cli({"mount", "source", "mnt", "--ref", "topic"}).err, HasSubstr("artifactfs remove"));
  EXPECT_THAT(cli({"mount", "http://127.0.0.1:1/r", "mnt"}).err, HasSubstr("a workspace of '" + source() + "'"));
}

}  // namespace
}  // namespace artifactfs::test
