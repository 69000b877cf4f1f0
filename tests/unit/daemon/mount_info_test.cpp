#include "daemon/mount_info.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "base/subprocess.h"
#include "base/unique_fd.h"
#include "daemon/mount_holders.h"
#include "daemon/mount_target.h"
#include "tests/harness/temporary_directory.h"

namespace artifactfs {
namespace {

constexpr const char* kText =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "30 22 0:40 / /mnt/a\\040b rw,nosuid shared:2 master:1 - fuse.artifactfs https://h/r rw\n"
    "31 30 0:41 / /mnt/a\\040b/inner rw - tmpfs none rw\n"
    "nonsense\n"
    "32 22 0:42 / /mnt/x rw - tmpfs under rw\n"
    "33 32 0:43 / /mnt/x rw - fuse.artifactfs over rw";

TEST(MountInfo, FindsTheMountAPathIsOn) {
  const auto mounts = parse_mount_info(kText);
  ASSERT_EQ(mounts.size(), 5U);
  EXPECT_EQ(mount_of(mounts, "/mnt/a b/file")->source, "https://h/r");
  EXPECT_TRUE(mount_of(mounts, "/mnt/a b")->is_artifactfs());
  EXPECT_EQ(mount_of(mounts, "/mnt/a b/inner/y")->type, "tmpfs");
  EXPECT_EQ(mount_of(mounts, "/mnt/a bc")->mount_point, "/");
  EXPECT_EQ(mount_at(mounts, "/mnt/x")->source, "over");
  EXPECT_EQ(mount_at(mounts, "/mnt/x/y"), nullptr);
}

TEST(MountInfo, ReadsTheKernels) {
  const auto mounts = read_mount_info();
  ASSERT_TRUE(mounts) << mounts.error().text();
  EXPECT_NE(mount_at(*mounts, "/proc"), nullptr);
}

TEST(MountTarget, MustBeAnEmptyDirectoryThatIsNothingElse) {
  const test::TemporaryDirectory directory;
  const auto base = std::filesystem::canonical(directory.path());
  std::filesystem::create_directories(base / "empty");
  std::filesystem::create_directories(base / "full/child");
  std::filesystem::create_directories(base / "state/mounts");
  std::filesystem::create_directory_symlink(base / "empty", base / "link");
  UniqueFd file(::open((base / "file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  const auto check = [&](const std::filesystem::path& target) { return check_mount_target(target, base / "state"); };
  EXPECT_TRUE(check(base / "empty"));
  EXPECT_EQ(check(base / "missing").error().code, ErrorCode::not_found);
  EXPECT_EQ(check(base / "file").error().code, ErrorCode::not_directory);
  EXPECT_EQ(check(base / "full").error().code, ErrorCode::not_empty);
  EXPECT_EQ(check(base / "link").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(check(base / "full/../empty").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(check("relative").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(check(base / "state/mounts").error().code, ErrorCode::invalid_argument);
  const auto mounted = check("/proc");
  EXPECT_EQ(mounted.error().code, ErrorCode::already_exists);
  EXPECT_THAT(mounted.error().text(), testing::HasSubstr("proc"));
}

TEST(MountHolders, NamesWhoHasAFileOpenOrSitsInside) {
  const test::TemporaryDirectory directory;
  const auto base = std::filesystem::canonical(directory.path());
  EXPECT_TRUE(find_mount_holders(base).empty());
  EXPECT_THAT(describe_mount_holders(base), testing::HasSubstr("cannot be seen"));
  UniqueFd file(::open((base / "f").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  auto holders = find_mount_holders(base);
  ASSERT_EQ(holders.size(), 1U);
  EXPECT_EQ(holders[0].pid, ::getpid());
  EXPECT_EQ(holders[0].how, "has '" + (base / "f").string() + "' open");
  file.reset();

  SubprocessOptions options;
  options.argv = {"sleep", "60"};
  options.environment = current_environment();
  options.working_directory = base.string();
  const auto child = Subprocess::start(options);
  ASSERT_TRUE(child);
  EXPECT_EQ(describe_mount_holders(base),
            "pid " + std::to_string(child->pid()) + " (sleep) has its working directory in it");
}

}  // namespace
}  // namespace artifactfs
