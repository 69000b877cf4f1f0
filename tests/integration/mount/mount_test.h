// MountTest: the fixture of the tests that mount real repositories with the real programs, and what several of them
// compare.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/harness/git_repository.h"
#include "tests/integration/mount/artifactfs_runner.h"

namespace artifactfs::test {

class MountTest : public ::testing::Test {
 protected:
  /// Skips where there is no FUSE.
  void SetUp() override;

  /// Where bare repositories to serve go.
  std::filesystem::path served() const { return artifactfs_ / "served"; }

  ArtifactfsRunner artifactfs_;
};

/// One line of `git ls-tree -r -t -l`.
struct ListedEntry {
  std::string mode;  // six octal digits
  std::string oid;
  uint64_t size_bytes = 0;  // of blobs
};

/// All of HEAD's tree, by path.
std::map<std::string, ListedEntry> ls_tree(const std::filesystem::path& repository);

/// Names of everything below `directory`, relative to it, without the ".git" at its root.
std::vector<std::string> names_below(const std::filesystem::path& directory);

/// lstat(2); throws when it fails.
struct stat stat_of(const std::filesystem::path& path);

/// Clones `repository` beside `checkout` by stock git: what a mount must look like.
void plain_checkout(const std::filesystem::path& repository, const std::filesystem::path& checkout);

/// Fails the test with the first differences unless both trees have the same names, types and contents.
void expect_same_content(const std::filesystem::path& checkout, const std::filesystem::path& mount);

/// Bytes that do not compress, different for each seed.
std::string noise(uint64_t bytes, uint64_t seed);

}  // namespace artifactfs::test
