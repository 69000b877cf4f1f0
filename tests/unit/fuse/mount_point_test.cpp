#include "fuse/mount_point.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

namespace artifactfs {
namespace {

TEST(MountOptions, AlwaysWithoutPrivileges) {
  const auto options = parse_mount_options({.source = "s"});
  ASSERT_TRUE(options);
  EXPECT_EQ(MS_NOSUID | MS_NODEV | MS_RDONLY, options->flags);
}

TEST(MountOptions, LaterOnesUndoEarlierOnes) {
  const auto options = parse_mount_options(
      {.source = "s",
       .read_only = false,
       .extra = {"ro", "noexec", "sync", "noatime", "rw", "exec", "async", "atime", "dirsync", "max_read=4096"}});
  ASSERT_TRUE(options);
  EXPECT_EQ(MS_NOSUID | MS_NODEV | MS_DIRSYNC, options->flags);
  EXPECT_EQ(4096u, options->max_read_bytes);
}

TEST(MountInfo, FieldsAndEscapes) {
  const auto entries = parse_mountinfo(
      "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
      "99 22 0:57 / /a\\040b\\134c ro,nosuid shared:5 master:1 - fuse.artifactfs https://x ro,user_id=0\n"
      "\nbroken line\n1 2 3 - x\n"
      "7 22 0:58 / /last rw - tmpfs none rw");
  ASSERT_EQ(3u, entries.size());
  EXPECT_EQ("254:0", entries[0].device);
  EXPECT_EQ("/", entries[0].directory);
  EXPECT_EQ("0:57", entries[1].device);
  EXPECT_EQ("/a b\\c", entries[1].directory);
  EXPECT_EQ("fuse.artifactfs", entries[1].type);
  EXPECT_EQ("/last", entries[2].directory);
}

}  // namespace
}  // namespace artifactfs
