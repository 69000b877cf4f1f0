// What everyday git commands in a mount fetch: the blobs that they show or change, and no others.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "tests/harness/command.h"
#include "tests/harness/git_repository.h"
#include "tests/integration/mount/artifactfs_runner.h"

namespace artifactfs::test {

namespace fs = std::filesystem;

class FetchedBlobs : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "there is no /dev/fuse here";
    generate_bare_repository(remote(), {.files = 20'000, .commits = 2});
    make_branch("small", {{"d0001/d0001/f05051.txt", "small\n"}, {"d0002/d0002/f10100.txt", "small too\n"}});
    make_branch("other", {{"d0003/d0003/f15150.txt", "other\n"}});
    mount_ = artifactfs_.mount("file://" + remote().string(), "mnt", {"--prefetch=none"});
    artifactfs_.wait_for_ref(mount_, "refs/remotes/origin/small");
    git({"fetch", "--quiet", "--unshallow"});
    EXPECT_EQ(fetched(), 0U);
  }

  fs::path remote() const { return artifactfs_ / "remote.git"; }

  std::string git(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "git");
    return run(arguments, artifactfs_.environment(), mount_);
  }

  /// A branch of one commit on main that changes `files`; made without a working tree.
  void make_branch(const std::string& name, const std::map<std::string, std::string>& files) {
    std::string stream = fmt::format(
        "commit refs/heads/{0}\ncommitter T <t@example.com> 1700100000 +0000\ndata {1}\n{0}\nfrom refs/heads/main^0\n",
        name, name.size() + 1);
    for (const auto& [file, content] : files) {
      stream += fmt::format("M 100644 inline {}\ndata {}\n{}\n", file, content.size(), content);
    }
    run({"git", "-C", remote().string(), "fast-import", "--quiet"}, artifactfs_.environment(), "/", stream);
  }

  /// Blobs that have come: into the daemon's store, and into packs of the repository's own (fetched by git itself).
  uint64_t fetched() {
    const auto status = artifactfs_.status(mount_);
    uint64_t count = status["cache"]["blobs"].get<uint64_t>();
    for (const auto& entry : fs::directory_iterator(fs::path(status["git_dir"].get<std::string>()) / "objects/pack")) {
      if (entry.path().extension() != ".idx") continue;
      std::istringstream lines(run({"git", "verify-pack", "-v", entry.path().string()}, artifactfs_.environment()));
      for (std::string line; std::getline(lines, line);) count += line.find(" blob ") != std::string::npos ? 1 : 0;
    }
    return count;
  }

  void expect_fetches(uint64_t blobs, const std::vector<std::string>& arguments) {
    const uint64_t before = fetched();
    git(arguments);
    EXPECT_EQ(fetched() - before, blobs) << "git " << arguments[0] << "\n" << artifactfs_.log();
  }

  ArtifactfsRunner artifactfs_;
  fs::path mount_;
};

TEST_F(FetchedBlobs, AreOnlyThoseThatGitShowsOrChanges) {
  expect_fetches(0, {"status"});
  std::ofstream(mount_ / "d0000/d0000/f00001.txt") << "replaced\n";
  expect_fetches(0, {"add", "d0000/d0000/f00001.txt"});
  expect_fetches(0, {"commit", "--quiet", "--message", "one file"});
  std::ofstream(mount_ / "brand-new.txt") << "new\n";
  expect_fetches(0, {"add", "--all"});
  expect_fetches(0, {"commit", "--quiet", "--message", "a new file"});

  // Its old content comes once, to be written back by the stash.
  std::ofstream(mount_ / "d0000/d0003/f00150.txt") << "stashed\n";
  expect_fetches(1, {"stash", "--quiet"});
  expect_fetches(0, {"stash", "pop", "--quiet"});
  expect_fetches(0, {"commit", "--quiet", "--all", "--message", "unstashed"});

  // The changed file's new blob, and its old one for the counted lines that are printed; a quiet merge needs no old
  // one.
  expect_fetches(2, {"cherry-pick", "origin/other"});
  expect_fetches(2, {"merge", "--quiet", "--no-edit", "origin/small"});
  expect_fetches(0, {"reset", "--quiet", "--soft", "HEAD~1"});
  expect_fetches(0, {"status"});
  EXPECT_EQ(git({"status", "--porcelain"}), "M  d0001/d0001/f05051.txt\nM  d0002/d0002/f10100.txt\n");
}

}  // namespace artifactfs::test
