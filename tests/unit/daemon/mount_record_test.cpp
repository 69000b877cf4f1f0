#include "daemon/mount_record.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/harness/temporary_directory.h"

namespace artifactfs {
namespace {

namespace fs = std::filesystem;

MountRecord some_record() {
  MountRecord record;
  record.directory = "/mnt/x";
  record.remote = "https://host/r.git";
  record.store = "r-123";
  record.ref = "v1";
  record.commit = *ObjectId::from_hex(std::string(40, 'a'));
  record.branch = "main";
  record.resolved_ref = "refs/heads/main";
  record.options.uid = 5;
  record.mounted = true;
  return record;
}

TEST(MountRecord, SurvivesTheDisk) {
  const test::TemporaryDirectory mounts;
  ASSERT_TRUE(write_mount_record(mounts / "x-1", some_record()));
  const auto back = read_mount_record(mounts / "x-1");
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(**back, some_record());
  EXPECT_EQ(fs::status(mounts / "x-1/mount.json").permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST(MountRecord, IsAbsentOnlyWhenThereIsNothing) {
  const test::TemporaryDirectory mounts;
  EXPECT_FALSE(read_mount_record(mounts / "none").value());
  fs::create_directories(mounts / "empty");
  EXPECT_FALSE(read_mount_record(mounts / "empty").value());
  fs::create_directories(mounts / "work/upper");
  EXPECT_EQ(read_mount_record(mounts / "work").error().code, ErrorCode::corrupt);
}

TEST(MountRecord, DamageAndNewerVersionsAreRefused) {
  const test::TemporaryDirectory mounts;
  ASSERT_TRUE(write_mount_record(mounts / "x", some_record()));
  const fs::path file = mounts / "x/mount.json";
  std::string whole;
  std::getline(std::ifstream(file), whole, '\0');
  for (size_t length = 0; length + 2 < whole.size(); length += 7) {
    std::ofstream(file, std::ios::trunc) << whole.substr(0, length);
    ASSERT_FALSE(read_mount_record(mounts / "x")) << length;
  }
  std::string newer = whole;
  newer.replace(newer.find("\"version\": 1"), 12, "\"version\": 2");
  std::ofstream(file, std::ios::trunc) << newer;
  EXPECT_EQ(read_mount_record(mounts / "x").error().code, ErrorCode::not_supported);
  std::string escaping = whole;
  escaping.replace(escaping.find("r-123"), 5, "../..");
  std::ofstream(file, std::ios::trunc) << escaping;
  EXPECT_EQ(read_mount_record(mounts / "x").error().code, ErrorCode::corrupt);
  EXPECT_FALSE(list_workspaces(mounts.path()).at(0).record);
}

TEST(MountRecord, IdsAreReadableAndDiffer) {
  EXPECT_TRUE(mount_id_of("/mnt/my repo").starts_with("my-repo-"));
  EXPECT_TRUE(mount_id_of("/mnt/.hidden").starts_with("-hidden-"));
  EXPECT_NE(mount_id_of("/a/x"), mount_id_of("/b/x"));
  EXPECT_EQ(mount_id_of("/a/x"), mount_id_of("/a/x"));
}

TEST(MountRecord, InterruptedDeletionsAreFinished) {
  const test::TemporaryDirectory mounts;
  ASSERT_TRUE(write_mount_record(mounts / "x", some_record()));
  fs::rename(mounts / "x", mounts / ".deleted-x");
  EXPECT_TRUE(list_workspaces(mounts.path()).empty());
  finish_deletions(mounts.path());
  EXPECT_TRUE(fs::is_empty(mounts.path()));
  EXPECT_TRUE(delete_workspace(mounts / "x")) << "what is gone needs no deleting";
}

}  // namespace
}  // namespace artifactfs
