// The gitdir that a mount gets, read by the real git.
#include "workdir/gitdir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <thread>

#include "base/unique_fd.h"
#include "tests/harness/command.h"
#include "tests/harness/git_repository.h"
#include "tests/harness/temporary_directory.h"

namespace artifactfs::test {
namespace {

class GitdirTest : public testing::Test {
 protected:
  GitdirTest() : repository_(directory_.path() / "origin") {
    repository_.write_file("a", "1");
    first_ = ObjectId::from_hex(repository_.commit("first")).value();
    repository_.write_file("a", "2");
    second_ = ObjectId::from_hex(repository_.commit("second")).value();
    repository_.branch("old", first_.hex());
    tag_ = ObjectId::from_hex(repository_.annotated_tag("v1", "one", first_.hex())).value();
    spec_.directory = directory_.path() / "git";
    spec_.store_objects = repository_.path() / ".git/objects";
    spec_.remote_url = "https://example.com/with \"quotes\" and \\.git";
    spec_.branch = spec_.upstream_branch = "main";
    spec_.commit = second_;
    spec_.owner = {::getuid(), ::getgid()};
  }
  std::string git(std::vector<std::string> arguments) {
    SubprocessOptions options;
    options.argv = {"git", "--git-dir=" + spec_.directory.string()};
    options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
    options.environment = git_environment(directory_.path());
    const auto output = run_subprocess(options, {}, Clock::system().now() + std::chrono::seconds(30)).value();
    EXPECT_EQ(output.status, 0) << output.err;
    return output.out;
  }
  std::vector<RefRow> main_only() const {
    return {{"HEAD", second_, std::nullopt, "refs/heads/main"},
            {"refs/heads/main", second_, std::nullopt, std::nullopt}};
  }
  std::vector<RefRow> all() const {
    auto refs = main_only();
    refs.push_back({"refs/heads/old", first_, std::nullopt, std::nullopt});
    refs.push_back({"refs/tags/v1", tag_, first_, std::nullopt});
    return refs;
  }

  TemporaryDirectory directory_;
  GitRepository repository_;
  ObjectId first_, second_, tag_;
  GitdirSpec spec_;
};

TEST_F(GitdirTest, IsWhatACloneWouldHave) {
  EXPECT_FALSE(is_gitdir(spec_.directory));
  ASSERT_TRUE(create_gitdir(spec_, main_only(), {}));
  EXPECT_TRUE(is_gitdir(spec_.directory));
  EXPECT_EQ(git({"rev-parse", "HEAD"}), second_.hex() + "\n");
  EXPECT_EQ(git({"symbolic-ref", "HEAD"}), "refs/heads/main\n");
  EXPECT_EQ(git({"rev-parse", "--abbrev-ref", "@{u}"}), "origin/main\n");
  EXPECT_EQ(git({"config", "remote.origin.url"}), spec_.remote_url + "\n");
  EXPECT_EQ(git({"for-each-ref", "--format=%(refname)"}),
            "refs/heads/main\nrefs/remotes/origin/HEAD\nrefs/remotes/origin/main\n");
  EXPECT_EQ(git({"log", "--format=%s"}), "second\nfirst\n");
}

TEST_F(GitdirTest, DetachedWithoutABranch) {
  spec_.branch.clear();
  spec_.commit = first_;
  ASSERT_TRUE(create_gitdir(spec_, {}, {}));
  EXPECT_EQ(git({"rev-parse", "HEAD"}), first_.hex() + "\n");
  EXPECT_EQ(git({"branch", "--show-current"}), "");
}

TEST_F(GitdirTest, ShallowCommitsHaveNoParents) {
  ASSERT_TRUE(create_gitdir(spec_, main_only(), std::array{second_}));
  EXPECT_EQ(git({"log", "--format=%s"}), "second\n");
}

TEST_F(GitdirTest, AllRefsComeLaterAndTheUsersStay) {
  ASSERT_TRUE(create_gitdir(spec_, main_only(), {}));
  git({"update-ref", "refs/heads/mine", first_.hex()});
  git({"pack-refs", "--all"});
  git({"update-ref", "refs/heads/main", first_.hex()});
  ASSERT_TRUE(add_remote_refs(spec_.directory, spec_.owner, all(), std::array{first_}, second_));
  EXPECT_EQ(git({"rev-parse", "mine", "main", "origin/old", "v1", "v1^{}", "origin/main"}),
            first_.hex() + "\n" + first_.hex() + "\n" + first_.hex() + "\n" + tag_.hex() + "\n" + first_.hex() + "\n" +
                second_.hex() + "\n");
  EXPECT_EQ(git({"describe", "--tags", "origin/old"}), "v1\n");
}

TEST_F(GitdirTest, HistoryThatTheUserFetchedStays) {
  ASSERT_TRUE(create_gitdir(spec_, main_only(), std::array{second_}));
  std::filesystem::remove(spec_.directory / "shallow");  // as `git fetch --unshallow` does
  ASSERT_TRUE(add_remote_refs(spec_.directory, spec_.owner, all(), std::array{second_, first_}, second_));
  EXPECT_EQ(git({"log", "--format=%s"}), "second\nfirst\n");
}

TEST_F(GitdirTest, WaitsForAGitThatHoldsTheLock) {
  ASSERT_TRUE(create_gitdir(spec_, main_only(), {}));
  const auto lock = spec_.directory / "packed-refs.lock";
  std::ofstream(lock) << "";
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    std::filesystem::remove(lock);
  });
  EXPECT_TRUE(add_remote_refs(spec_.directory, spec_.owner, all(), {}, second_));
  other.join();
  EXPECT_EQ(git({"rev-parse", "origin/old"}), first_.hex() + "\n");
}

TEST_F(GitdirTest, UnpushedWorkIsFound) {
  ASSERT_TRUE(create_gitdir(spec_, all(), {}));
  EXPECT_TRUE(unpushed_work(spec_.directory, spec_.owner).value().empty());
  const std::string tree = git({"rev-parse", "HEAD^{tree}"}).substr(0, 40);
  const std::string commit = git({"commit-tree", "-p", "HEAD", "-m", "mine", tree}).substr(0, 40);
  git({"update-ref", "refs/heads/topic", commit});
  EXPECT_THAT(unpushed_work(spec_.directory, spec_.owner).value(),
              testing::ElementsAre("1 commit of branch 'topic' not pushed"));
  git({"update-ref", "refs/remotes/origin/topic", commit});
  EXPECT_TRUE(unpushed_work(spec_.directory, spec_.owner).value().empty());
}

TEST_F(GitdirTest, AHalfMadeOneIsMadeAnew) {
  std::filesystem::create_directories(spec_.directory / "refs/heads/stale");
  ASSERT_TRUE(create_gitdir(spec_, main_only(), {}));
  EXPECT_FALSE(std::filesystem::exists(spec_.directory / "refs/heads/stale"));
}

}  // namespace
}  // namespace artifactfs::test
