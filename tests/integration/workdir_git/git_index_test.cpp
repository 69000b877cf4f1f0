// The index that we write, read by real git, over an ordinary checkout whose stat data stand in for the mount's.

#include "workdir/git_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/unique_fd.h"
#include "tests/harness/command.h"
#include "tests/harness/git_repository.h"
#include "tests/harness/temporary_directory.h"
#include "tests/integration/workdir_git/index_from_checkout.h"

namespace artifactfs::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class GitIndexTest : public testing::Test {
 protected:
  GitIndexTest() : repository_(directory_ / "work") {
    repository_.write_file("a.txt", "a\n");
    repository_.write_file("a-b/x", "sorted between a and a/\n");
    repository_.write_file("a.d/x", "x\n");
    repository_.write_file("empty", "");
    repository_.write_file("src/main.c", "int main;\n");
    repository_.write_file("src/deep/er/file", "deep\n");
    repository_.write_file("src/.gitignore", "*.o\n");
    repository_.write_file("run", "#!/bin/sh\n", true);
    repository_.make_symlink("link", "src/main.c");
    repository_.submodule("module", "1234567890123456789012345678901234567890");
    repository_.write_file(std::string(200, 'n') + "/" + std::string(200, 'm'), "long\n");
    repository_.commit("first");
    git_index_ = repository_.git({"ls-files", "-s", "--debug"});
    trees_ = import_head(repository_.path(), directory_ / "index.db");
    spec_.git_directory = repository_.path() / ".git";
    spec_.tree = trees_.root;
    spec_.work_tree = repository_.path();
    spec_.fsmonitor_token = "first";
    set_hook("second", "");
    repository_.git({"config", "core.fsmonitor", (directory_ / "hook").string()});
    repository_.git({"config", "core.fsmonitorHookVersion", "2"});
    repository_.git({"config", "core.untrackedCache", "true"});
  }

  /// What the fsmonitor hook answers; `paths` is printf(1)'s format. It notes the tokens that it was asked with.
  void set_hook(const std::string& token, const std::string& paths, int status = 0) {
    std::ofstream(directory_ / "hook") << "#!/bin/sh\necho \"$1 $2\" >> " << directory_ / "asked"
                                       << "\nprintf '" << token << "\\0" << paths << "'\nexit " << status << "\n";
    ::chmod((directory_ / "hook").c_str(), 0755);
  }
  std::string asked() { return read_file(directory_ / "asked").value_or(""); }

  Result<std::optional<ObjectId>> write(std::optional<ObjectId> expected = std::nullopt) {
    return write_git_index(spec_, *trees_.index, source_, expected);
  }
  void write_anew() {
    std::filesystem::remove(spec_.git_directory / "index");
    const auto written = write();
    ASSERT_TRUE(written) << written.error().text();
    ASSERT_TRUE(*written);
  }

  /// How many files and directories of the work tree `git <arguments>` looked at, by strace; its output in `out`.
  size_t touched(const std::vector<std::string>& arguments, std::string& out) {
    const auto log = directory_ / "strace";
    std::vector<std::string> argv = {"strace", "-f", "-qq",        "-e", "trace=%file,getdents64",
                                     "-y",     "-o", log.string(), "git"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    out = run(argv, git_environment(), repository_.path());
    std::istringstream lines(read_file(log).value_or(""));
    size_t count = 0;
    for (std::string line; std::getline(lines, line);) {
      const bool is_listing = line.find("getdents64") != std::string::npos;
      const bool in_gitdir = line.find(".git/") != std::string::npos || line.find(".git\"") != std::string::npos;
      const bool relative =
          line.find("AT_FDCWD, \"") != std::string::npos && line.find("AT_FDCWD, \"/") == std::string::npos;
      const bool is_execve = line.find("execve(") != std::string::npos;
      if (!in_gitdir && !is_execve && (relative || (is_listing && line.find("/work>") != std::string::npos))) ++count;
      if (!in_gitdir && is_listing && line.find("/work/") != std::string::npos) ++count;
    }
    return count;
  }

  TemporaryDirectory directory_;
  GitRepository repository_;
  std::string git_index_;
  ImportedTrees trees_;
  GitIndexSpec spec_;
  LstatSource source_{repository_.path()};
};

TEST_F(GitIndexTest, EntriesAreThoseThatGitWouldWrite) {
  write_anew();
  // Of a submodule git compares nothing but the commit.
  const auto comparable = [](const std::string& text) {
    std::istringstream lines(text);
    std::string out;
    bool is_submodule = false;
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("  ")) is_submodule = line.starts_with("160000");
      if (is_submodule && line.starts_with("  ")) continue;
      const auto device = line.find("  dev: ");
      out += (device == 0 ? line.substr(line.find("ino: ")) : line) + "\n";
    }
    return out;
  };
  const std::string ours = repository_.git({"-c", "core.fsmonitor=false", "ls-files", "-s", "--debug"});
  EXPECT_EQ(comparable(ours), comparable(git_index_));
}

TEST_F(GitIndexTest, StatusIsCleanAndTouchesNothing) {
  write_anew();
  std::string out;
  const size_t count = touched({"status", "--porcelain=v2"}, out);
  EXPECT_EQ(out, "");
  // The submodule's directory and its .git: git never trusts fsmonitor for submodules.
  EXPECT_LE(count, 4u) << read_file(directory_ / "strace").value_or("");
  EXPECT_EQ(asked(), "2 first\n");
}

TEST_F(GitIndexTest, CacheTreeIsTheCommitsTree) {
  write_anew();
  // A cache tree that is valid spares write-tree the trees: it needs none of the objects.
  const std::string tree = run({"git", "write-tree"}, git_environment(), repository_.path());
  EXPECT_EQ(tree.substr(0, 40), trees_.root.hex());
  EXPECT_EQ(repository_.git({"fsck", "--cache", "--no-dangling"}), "");
}

TEST_F(GitIndexTest, ReportsExactlyWhatTheHookNames) {
  write_anew();
  repository_.write_file("src/main.c", "int changed;\n");
  repository_.write_file("src/new", "new\n");
  repository_.write_file("src/new.o", "ignored\n");
  set_hook("third", "src/main.c\\0src/new\\0src/new.o\\0");
  EXPECT_EQ(repository_.git({"status", "--porcelain"}), " M src/main.c\n?? src/new");
  set_hook("fourth", "");
  EXPECT_EQ(repository_.git({"status", "--porcelain"}), " M src/main.c\n?? src/new");
  EXPECT_EQ(asked(), "2 first\n2 third\n");
}

TEST_F(GitIndexTest, EverythingIsLookedAtWhenTheHookSaysSoOrFails) {
  for (const int status : {0, 1}) {
    write_anew();
    repository_.write_file("src/main.c", "int changed" + std::to_string(status) + ";\n");
    set_hook("third", "/\\0", status);
    EXPECT_EQ(repository_.git({"status", "--porcelain"}), " M src/main.c");
  }
}

TEST_F(GitIndexTest, DeviceIsIgnored) {
  source_.device = 77;
  write_anew();
  EXPECT_EQ(repository_.git({"-c", "core.fsmonitor=false", "diff-files", "--name-only"}), "");
}

TEST_F(GitIndexTest, UnknownSizesAreNeitherReadNorReported) {
  source_.sizes_known = false;
  write_anew();
  std::string out;
  EXPECT_LE(touched({"status", "--porcelain"}, out), 4u);
  EXPECT_EQ(out, "");
  // Without an answer from the hook git compares contents, and is right.
  EXPECT_EQ(repository_.git({"-c", "core.fsmonitor=false", "status", "--porcelain"}), "");
}

TEST_F(GitIndexTest, SizesAreFilledInLater) {
  source_.sizes_known = false;
  const auto first = write();
  // There is an index already: git's own.
  ASSERT_TRUE(first);
  EXPECT_FALSE(*first);
  std::filesystem::remove(spec_.git_directory / "index");
  const auto written = write();
  ASSERT_TRUE(written && *written);
  source_.sizes_known = true;
  const auto filled = write(*written);
  ASSERT_TRUE(filled && *filled);
  EXPECT_NE(**filled, **written);
  EXPECT_EQ(repository_.git({"-c", "core.fsmonitor=false", "diff-files", "--name-only"}), "");
}

TEST_F(GitIndexTest, AnIndexThatGitHasWrittenIsLeftAlone) {
  std::filesystem::remove(spec_.git_directory / "index");
  const auto written = write();
  ASSERT_TRUE(written && *written);
  repository_.write_file("staged", "staged\n");
  set_hook("third", "staged\\0");
  repository_.git({"add", "staged"});
  const auto filled = write(*written);
  ASSERT_TRUE(filled);
  EXPECT_FALSE(*filled);
  EXPECT_EQ(repository_.git({"status", "--porcelain"}), "A  staged");
}

TEST_F(GitIndexTest, ALockedIndexIsLeftAlone) {
  std::filesystem::remove(spec_.git_directory / "index");
  std::ofstream(spec_.git_directory / "index.lock") << "";
  const auto written = write();
  ASSERT_TRUE(written);
  EXPECT_FALSE(*written);
  EXPECT_TRUE(std::filesystem::exists(spec_.git_directory / "index.lock"));
}

// Sizes can take seconds to find, and `git add` fails at once when it meets index.lock.
TEST_F(GitIndexTest, TheLockIsFreeWhileEntriesAreFound) {
  std::filesystem::remove(spec_.git_directory / "index");
  const auto lock = spec_.git_directory / "index.lock";
  size_t asked = 0;
  source_.asked = [&] {
    ++asked;
    EXPECT_FALSE(std::filesystem::exists(lock));
  };
  ASSERT_TRUE(write().value());
  EXPECT_GT(asked, 0U);
  EXPECT_FALSE(std::filesystem::exists(lock));
}

// A .gitignore that is not cached is left out of UNTR; what it ignores must still never be shown.
TEST_F(GitIndexTest, RulesOfAnUncachedGitignoreApply) {
  source_.gitignores_cached = false;
  const auto status = [&](const std::string& hook_paths, const std::string& fsmonitor) {
    write_anew();
    set_hook("third", hook_paths);
    return repository_.git({"-c", "core.fsmonitor=" + fsmonitor, "status", "--porcelain"});
  };
  const std::string hook = (directory_ / "hook").string();
  write_anew();
  std::string out;
  EXPECT_LE(touched({"status", "--porcelain"}, out), 4u) << "the .gitignore must not be opened";
  source_ = LstatSource(repository_.path());
  source_.gitignores_cached = false;
  write_anew();
  repository_.write_file("src/deep/er/new.o", "ignored\n");
  set_hook("third", "src/deep/er/new.o\\0");
  EXPECT_EQ(repository_.git({"status", "--porcelain"}), "");
  // The directories' stat data are from before the file: git must see by itself that they have changed.
  std::filesystem::remove(repository_.path() / "src/deep/er/new.o");
  EXPECT_EQ(status("", hook), "");
  write_anew();
  repository_.write_file("src/deep/er/new.o", "ignored\n");
  set_hook("third", "/\\0");
  EXPECT_EQ(repository_.git({"status", "--porcelain"}), "");
  std::filesystem::remove(repository_.path() / "src/deep/er/new.o");
  write_anew();
  repository_.write_file("src/deep/er/new.o", "ignored\n");
  EXPECT_EQ(repository_.git({"-c", "core.fsmonitor=false", "status", "--porcelain"}), "");
}

TEST_F(GitIndexTest, TheUsersExcludesFileKeepsTheUntrackedCacheValid) {
  spec_.excludes_file = directory_ / "ignore";
  std::ofstream(spec_.excludes_file) << "*.bak\n";
  repository_.git({"config", "core.excludesFile", spec_.excludes_file.string()});
  write_anew();
  std::string out;
  EXPECT_LE(touched({"status", "--porcelain"}, out), 5u);
  repository_.write_file("x.bak", "ignored\n");
  set_hook("third", "x.bak\\0");
  EXPECT_EQ(repository_.git({"status", "--porcelain"}), "");
}

}  // namespace
}  // namespace artifactfs::test
