#include "cli/mount_options.h"

#include <gtest/gtest.h>

namespace artifactfs::cli {
namespace {

TEST(MountOptions, TakesItsOwnAndPassesTheRestOn) {
  control::MountOptions options;
  ASSERT_TRUE(apply_mount_options({"ro,uid=7,,noexec", "gid=8,allow_other,max_read=4096"}, options));
  EXPECT_TRUE(options.read_only);
  EXPECT_TRUE(options.allow_other);
  EXPECT_EQ(options.uid, 7U);
  EXPECT_EQ(options.gid, 8U);
  EXPECT_EQ(options.extra, (std::vector<std::string>{"noexec", "max_read=4096"}));
}

TEST(MountOptions, RefusesIdsThatAreNone) {
  for (const char* option : {"uid=", "uid=x", "uid=-1", "gid=1x", "gid=4294967295", "uid=4294967296"}) {
    control::MountOptions options;
    const auto applied = apply_mount_options({option}, options);
    ASSERT_FALSE(applied) << option;
    EXPECT_EQ(applied.error().code, ErrorCode::invalid_argument);
  }
}

}  // namespace
}  // namespace artifactfs::cli
