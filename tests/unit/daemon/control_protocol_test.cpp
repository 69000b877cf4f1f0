#include "daemon/control_protocol.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <thread>

#include "tests/harness/temporary_directory.h"

namespace artifactfs::control {
namespace {

namespace fs = std::filesystem;

MountOptions some_options() {
  MountOptions options;
  options.read_only = true;
  options.allow_other = true;
  options.uid = 1000;
  options.extra = {"noexec", "max_read=131072"};
  options.fetch_timeout = std::chrono::milliseconds(1500);
  options.prefetch = false;
  return options;
}

MountStatus some_status() {
  MountStatus status;
  status.directory = "/mnt/ümlaut \"x\"";
  status.remote = "https://host/r.git";
  status.phase = "ready";
  status.mount_id = "x-1";
  status.ref = "v1";
  status.commit = std::string(40, 'a');
  status.branch = "main";
  status.files = 12;
  status.limitation = "slow";
  status.last_error = "none";
  status.blocked_readers = 1;
  status.requests = 2;
  status.bytes_received = uint64_t{1} << 40;
  status.kernel_requests = 3;
  status.cache = {4, 5, 6};
  status.git_directory = "/s/mounts/x-1/git";
  status.options = some_options();
  return status;
}

template <typename T>
void expect_round_trip(const T& value) {
  const auto back = decode<T>(encode(value));
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(*back, value);
}

TEST(ControlProtocol, EverythingSurvivesJson) {
  expect_round_trip(MountRequest{"host:r", "/mnt/x", "main", "/home", {"A=b", "C="}, some_options()});
  expect_round_trip(some_status());
  expect_round_trip(StatusReport{DaemonStatus{1, 2, "3"}, {some_status()}});
  expect_round_trip(StatusReport{});
  expect_round_trip(DirectoryRequest{"/mnt/x", true});
  expect_round_trip(GcReport{{"a", "b"}, 7});
}

TEST(ControlProtocol, ErrorsKeepTheirCodeAndText) {
  const Error error{ErrorCode::busy, "cannot unmount '/x'", "pid 1"};
  const auto back = decode<ErrorBody>(encode(ErrorBody{error}));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->error.code, ErrorCode::busy);
  EXPECT_EQ(back->error.text(), error.text());
}

TEST(ControlProtocol, AcceptsUnknownAndMissingFieldsButNoNonsense) {
  const auto request = decode<MountRequest>(R"({"remote": "r", "dir": "/x", "new_field": [1]})");
  ASSERT_TRUE(request) << request.error().text();
  EXPECT_EQ(request->options, MountOptions{});
  for (const char* text : {"", "{", "[]", "null", "{}", R"({"remote": 1, "dir": "/x"})", R"({"remote": "r"})"}) {
    const auto bad = decode<MountRequest>(text);
    ASSERT_FALSE(bad) << text;
    EXPECT_EQ(bad.error().code, ErrorCode::protocol);
  }
}

TEST(ControlProtocol, KnowsUtf8) {
  EXPECT_TRUE(is_utf8("ü"));
  EXPECT_FALSE(is_utf8("\xff"));
}

TEST(StateRoot, ComesFromFlagThenEnvironmentThenUser) {
  const Environment all = {"ARTIFACTFS_STATE_DIR=/e", "XDG_STATE_HOME=/x", "HOME=/h"};
  EXPECT_EQ(state_root("/f/", all, 1, "/w").value(), "/f");
  EXPECT_EQ(state_root("rel", all, 1, "/w").value(), "/w/rel");
  EXPECT_EQ(state_root(std::nullopt, all, 1, "/w").value(), "/e");
  EXPECT_EQ(state_root(std::nullopt, {"XDG_STATE_HOME=/x", "HOME=/h"}, 1, "/w").value(), "/x/artifactfs");
  EXPECT_EQ(state_root(std::nullopt, {"HOME=/h"}, 1, "/w").value(), "/h/.local/state/artifactfs");
  EXPECT_EQ(state_root(std::nullopt, {"HOME=/h"}, 0, "/w").value(), "/var/lib/artifactfs");
  EXPECT_FALSE(state_root(std::nullopt, {}, 1, "/w"));
}

TEST(ControlSocket, IsPrivateAndReachedAlsoBelowALongPath) {
  const test::TemporaryDirectory directory;
  for (const std::string& name : {std::string("short"), std::string(200, 'l')}) {
    const fs::path root = directory / name;
    fs::create_directories(root);
    const auto nobody = connect_to_daemon(root);
    ASSERT_FALSE(nobody);
    EXPECT_EQ(nobody.error().code, ErrorCode::not_found);
    {
      const auto listening = listen_for_clients(root);
      ASSERT_TRUE(listening) << listening.error().text();
      struct stat st {};
      ASSERT_EQ(::stat((root / kSocketName).c_str(), &st), 0);
      EXPECT_EQ(st.st_mode & 07777U, 0600U);
      EXPECT_TRUE(connect_to_daemon(root));
    }
    const auto dead = connect_to_daemon(root);
    ASSERT_FALSE(dead);
    EXPECT_EQ(dead.error().code, ErrorCode::not_found);
    EXPECT_TRUE(listen_for_clients(root)) << "a dead socket must be replaced";
  }
}

}  // namespace
}  // namespace artifactfs::control
