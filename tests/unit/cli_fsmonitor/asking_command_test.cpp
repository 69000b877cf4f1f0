#include "cli/fsmonitor/asking_command.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace artifactfs {
namespace {

AskingCommand classify(const std::vector<std::string>& words) {
  std::string line;
  for (const auto& word : words) line.append(word) += '\0';
  return classify_asking_command(line);
}

TEST(AskingCommand, ComparisonsWithACommitNeedEverything) {
  for (const auto& words : std::vector<std::vector<std::string>>{{"git", "diff", "HEAD"},
                                                                 {"/usr/bin/git", "diff", "--stat", "HEAD", "--", "a"},
                                                                 {"git", "diff-index", "--quiet", "HEAD"},
                                                                 {"/usr/lib/git-core/git-diff-index", "HEAD"},
                                                                 {"git", "-C", "status", "diff", "HEAD"},
                                                                 {"git", "-c", "a.b=c", "--no-pager", "diff", "HEAD"},
                                                                 {"git", "an-alias", "HEAD"}}) {
    EXPECT_EQ(classify(words), AskingCommand::needs_everything) << words.back();
  }
}

TEST(AskingCommand, MostCommandsAreOrdinary) {
  for (const auto& words : std::vector<std::vector<std::string>>{{"git", "status"},
                                                                 {"git", "diff"},
                                                                 {"git", "diff", "--", "HEAD"},
                                                                 {"git", "-C", "diff", "status", "HEAD"},
                                                                 {"git", "--git-dir=x", "commit", "-m", "diff"},
                                                                 {"git", "checkout", "main"},
                                                                 {"git", "st"},
                                                                 {"git"},
                                                                 {"git", "-C"}}) {
    EXPECT_EQ(classify(words), AskingCommand::ordinary) << words.back();
  }
  EXPECT_EQ(classify_asking_command(""), AskingCommand::ordinary);
  EXPECT_EQ(classify_asking_command("git"), AskingCommand::ordinary);
}

TEST(AskingCommand, MovingAndRemovingWriteGitmodules) {
  EXPECT_EQ(classify({"git", "mv", "a", "b"}), AskingCommand::writes_gitmodules);
  EXPECT_EQ(classify({"git", "-c", "x=y", "rm", "a"}), AskingCommand::writes_gitmodules);
}

}  // namespace
}  // namespace artifactfs
