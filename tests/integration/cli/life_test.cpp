#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>

#include <thread>

#include "base/unique_fd.h"
#include "tests/integration/cli/cli_fixture.h"

namespace artifactfs::test {
namespace {

using testing::HasSubstr;

TEST_F(CliTest, TwoMountsThatStartADaemonAtOnceShareIt) {
  const std::string a = directory("a");
  const std::string b = directory("b");
  auto first = start({"mount", "source", "a"});
  auto second = start({"mount", "source", "b"});
  EXPECT_EQ(first.wait().value(), 0);
  EXPECT_EQ(second.wait().value(), 0);
  const std::string log = read_file(base() / "state/daemon.log").value_or("no log");
  EXPECT_TRUE(is_mounted(a)) << log;
  EXPECT_TRUE(is_mounted(b)) << log;
  const auto json = status();
  EXPECT_EQ(json["mounts"].size(), 2U) << json.dump(2);
}

TEST_F(CliTest, ADaemonStartedByMountEndsAfterItsLastMount) {
  directory("mnt");
  ASSERT_EQ(cli({"mount", "source", "mnt", "--idle-exit", "100ms"}).status, 0);
  const pid_t daemon = daemon_pid();
  ASSERT_GT(daemon, 0);
  ASSERT_EQ(cli({"unmount", "mnt"}).status, 0);
  EXPECT_TRUE(wait_until([daemon] { return ::kill(daemon, 0) != 0; }));
  EXPECT_EQ(daemon_pid(), 0);
}

TEST_F(CliTest, WhatAKilledDaemonLeftIsBroughtBackWithoutTheRemote) {
  const std::string mnt = directory("mnt");
  ASSERT_EQ(cli({"mount", "source", "mnt"}).status, 0);
  EXPECT_EQ(read_file(mnt + "/hello").value(), "hello\n");
  const pid_t killed = daemon_pid();
  ::kill(killed, SIGKILL);
  ASSERT_TRUE(wait_until([killed] { return ::kill(killed, 0) != 0; }));
  EXPECT_EQ(phase(mnt), "unmounted");
  std::filesystem::rename(source(), source() + ".away");

  auto daemon = start({"daemon"});
  ASSERT_TRUE(wait_until([&] { return phase(mnt) != "unmounted" && phase(mnt) != "mounting"; }));
  EXPECT_TRUE(std::filesystem::is_directory(mnt + "/directory")) << phase(mnt);
  std::filesystem::rename(source() + ".away", source());  // what was cached a moment before a kill -9 may be lost
  EXPECT_EQ(read_file(mnt + "/hello").value(), "hello\n");
  const auto second = cli({"daemon"});
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.err, HasSubstr("the daemon with pid"));
  daemon.terminate();
  EXPECT_EQ(daemon.wait().value(), 0);
  expect_no_mounts();
}

TEST_F(CliTest, TheDeadMountOfAKilledDaemonCanBeUnmountedAndRemoved) {
  directory("mnt");
  ASSERT_EQ(cli({"mount", "source", "mnt"}).status, 0);
  const pid_t killed = daemon_pid();
  ::kill(killed, SIGKILL);
  ASSERT_TRUE(wait_until([killed] { return ::kill(killed, 0) != 0; }));
  const auto unmounted = cli({"unmount", "mnt"});
  EXPECT_EQ(unmounted.status, 0) << unmounted.err;
  expect_no_mounts();
  const auto removed = cli({"remove", "mnt"});
  EXPECT_EQ(removed.status, 0) << removed.err;
  EXPECT_EQ(cli({"gc"}).status, 0);
  expect_empty_state();
}

TEST_F(CliTest, UnmountedByHandItBecomesUnmounted) {
  const std::string mnt = directory("mnt");
  ASSERT_EQ(cli({"mount", "source", "mnt"}).status, 0);
  ASSERT_EQ(::umount2(mnt.c_str(), 0), 0);
  EXPECT_TRUE(wait_until([&] { return phase(mnt) == "unmounted"; }));
  EXPECT_EQ(cli({"mount", "source", "mnt"}).status, 0);
}

TEST_F(CliTest, AForegroundMountServesUntilItsSignalOrItsUnmount) {
  const std::string mnt = directory("mnt");
  const auto refused = cli({"mount", "--foreground", "source", "missing"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("does not exist"));
  expect_empty_state();
  for (const bool by_signal : {true, false}) {
    auto process = start({"mount", "--foreground", "source", "mnt"});
    ASSERT_TRUE(wait_until([&] { return is_mounted(mnt) && phase(mnt) != "mounting"; }));
    EXPECT_EQ(read_file(mnt + "/hello").value(), "hello\n");
    if (by_signal) {
      ::kill(process.pid(), SIGINT);
    } else {
      EXPECT_EQ(cli({"unmount", "mnt"}).status, 0);
    }
    EXPECT_EQ(process.wait().value(), 0);
    expect_no_mounts();
  }
}

}  // namespace
}  // namespace artifactfs::test
