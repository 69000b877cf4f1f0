// What a process had acknowledged is there after kill -9, and nothing else but the operation that was under way.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "tests/unit/workdir_overlay/random_operations.h"

extern char** environ;

namespace artifactfs::test {
namespace {

constexpr int kPipe = 9;  // the child's end
constexpr const char* kDirectory = "OVERLAY_KILL_DIRECTORY";
constexpr const char* kSeed = "OVERLAY_KILL_SEED";

// Not a test: the program that OverlayKill starts and kills. A byte on the pipe for each operation that was answered.
TEST(OverlayKillChild, DISABLED_Run) {
  const char* directory = ::getenv(kDirectory);
  ASSERT_NE(directory, nullptr);
  ::umask(0);
  MemoryBase base(model_base());
  const auto workdir = base.open(directory);
  Files files(*workdir);
  std::mt19937_64 random(std::strtoull(::getenv(kSeed), nullptr, 10));
  while (true) {
    const RandomOperation operation = RandomOperation::next(random);
    const char answer = operation.apply(files) ? '1' : '0';
    if (::write(kPipe, &answer, 1) != 1) return;
    if (const auto inode = files.inode(operation.path)) workdir->forget(*inode, uint64_t{1} << 40);
  }
}

struct Child {
  pid_t pid = 0;
  UniqueFd answers;
};

Child start(const std::filesystem::path& directory, const std::filesystem::path& temporary, uint64_t seed) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], kPipe);
  std::vector<std::string> variables = {std::string(kDirectory) + "=" + directory.string(),
                                        std::string(kSeed) + "=" + std::to_string(seed),
                                        "TMPDIR=" + temporary.string()};
  std::vector<char*> environment;
  for (auto& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  std::vector<std::string> words = {"kill_test", "--gtest_filter=OverlayKillChild.DISABLED_Run",
                                    "--gtest_also_run_disabled_tests"};
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  Child child;
  EXPECT_EQ(::posix_spawn(&child.pid, "/proc/self/exe", &actions, nullptr, arguments.data(), environment.data()), 0);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  child.answers = UniqueFd(ends[0]);
  return child;
}

// Reads answers, kills the child after `after` of them, and reads what it had said until then.
std::string answers_until_killed(Child& child, size_t after) {
  std::string answers;
  char byte;
  while (::read(child.answers.get(), &byte, 1) == 1) {
    answers += byte;
    if (answers.size() == after) ::kill(child.pid, SIGKILL);
  }
  ::waitpid(child.pid, nullptr, 0);
  return answers;
}

TEST(OverlayKill, WhatWasAcknowledgedSurvives) {
  ::umask(0);
  const uint64_t first_seed = std::random_device()();
  SCOPED_TRACE("first seed " + std::to_string(first_seed));
  std::mt19937_64 random(first_seed);
  const TemporaryDirectory directory("artifactfs-kill");
  std::filesystem::create_directory(directory / "plain");
  std::filesystem::create_directory(directory / "tmp");
  write_model_base(directory / "plain");
  MemoryBase base(model_base());
  for (uint64_t round = 0; round < 40; ++round) {
    const uint64_t seed = first_seed + round;
    SCOPED_TRACE("round " + std::to_string(round));
    Child child = start(directory / "mount", directory / "tmp", seed);
    const std::string answers = answers_until_killed(child, 1 + random() % 400);
    ASSERT_FALSE(answers.empty());

    std::mt19937_64 replay(seed);
    for (const char answer : answers) {
      const RandomOperation operation = RandomOperation::next(replay);
      ASSERT_EQ(operation.apply(directory / "plain"), answer == '1') << operation.text();
    }
    for (const auto& finding : findings_of(directory / "mount", true)) {
      EXPECT_EQ(finding.kind, OverlayFinding::Kind::leftover) << finding.text;
    }
    EXPECT_TRUE(findings_of(directory / "mount", false).empty());
    auto workdir = base.open(directory / "mount");
    Files files(*workdir);
    const auto shown = files.tree();
    if (shown != tree_of(directory / "plain")) {
      (void)RandomOperation::next(replay).apply(directory / "plain");  // the one that was under way
      ASSERT_EQ(shown, tree_of(directory / "plain"));
    }
  }
}

}  // namespace
}  // namespace artifactfs::test
