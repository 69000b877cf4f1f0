#include "tests/integration/git/side_by_side.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <stdexcept>

#include "tests/harness/command.h"
#include "tests/harness/git_repository.h"
#include "tests/integration/git/working_tree.h"

namespace artifactfs::test {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kFirstDate = 1'700'500'000;
constexpr auto kCommandTimeout = std::chrono::seconds(100);

constexpr std::string_view kConfiguration = R"([protocol "file"]
  allow = always
[advice]
  detachedHead = false
[pull]
  rebase = false
)";

// What steps may use besides bash and git.
constexpr std::string_view kPrelude = R"(
no() { "$@"; local status=$?; echo "exit status $status"; [ $status -ne 0 ]; }
)";

// All that git says of a repository; the submodules' and linked worktrees' own state is asked for by the steps.
constexpr std::string_view kStateCommand = R"(
echo '[status]'; git status --porcelain=v2 --branch -uall || echo "exit status $?"
echo '[index]'; git ls-files -s -t || echo "exit status $?"
echo '[refs]'; git for-each-ref --format='%(refname) %(objectname) %(symref)'
echo '[remote refs]'; git -C ../remote.git for-each-ref --format='%(refname) %(objectname)'
)";

std::string numbered_lines(int count, const std::string& changed_line = "", int changed = -1) {
  std::string text;
  for (int i = 1; i <= count; ++i) text += i == changed ? changed_line + "\n" : fmt::format("line {}\n", i);
  return text;
}

void replace_all(std::string& text, const std::string& what, const std::string& by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

void write_first_commit(GitRepository& git) {
  git.write_file("README.md", numbered_lines(20));
  git.write_file("src/main.c", numbered_lines(40));
  git.write_file("src/lib/a.txt", "a\n");
  git.write_file("src/lib/b.txt", "b\n");
  git.write_file("src/lib/deep/c.txt", "c\n");
  git.write_file("docs/guide.md", numbered_lines(30));
  git.write_file("docs/one.txt", "one\n");
  git.write_file("docs/two.txt", "two\n");
  git.write_file("docs/empty", "");
  git.write_file("run.sh", "#!/bin/sh\necho run\n", true);
  git.make_symlink("link", "src/main.c");
  git.make_symlink("dirlink", "src/lib");
  git.write_file("data.bin", std::string("\0\1\2", 3) + std::string(20'000, 'x'));
  git.write_file("with space/\xc3\xbc.txt", "u\n");
  git.write_file(".gitignore", "*.o\nbuild/\n");
  git.write_file("src/.gitignore", "*.tmp\n");
}

void add_branches(GitRepository& git) {
  git.branch("ahead");
  git.checkout("ahead");
  git.write_file("ahead.txt", "ahead\n");
  git.write_file("src/lib/a.txt", "a\nahead\n");
  git.commit("ahead of main");

  git.git({"checkout", "--quiet", "-b", "feature", "main~2"});
  git.write_file("feature.txt", "feature\n");
  git.commit("feature 1");
  git.write_file("src/lib/b.txt", "b\nfeature\n");
  git.write_file("src/main.c", numbered_lines(40, "feature", 35));
  git.commit("feature 2");

  git.git({"checkout", "--quiet", "-b", "conflict", "main~2"});
  git.write_file("conflict.txt", "clean part\n");
  git.commit("conflict 1");
  git.write_file("README.md", numbered_lines(20, "theirs", 3));
  git.remove("docs/two.txt");
  git.commit("conflict 2");

  git.git({"checkout", "--quiet", "-b", "types", "main"});
  git.remove("src/lib");
  git.write_file("src/lib", "was a directory\n");
  git.remove("docs/one.txt");
  git.write_file("docs/one.txt/inner", "was a file\n");
  git.write_file("link", "was a symlink\n");
  git.remove("dirlink");
  git.write_file("dirlink/inner", "was a symlink to a directory\n");
  git.remove("src/main.c");
  git.make_symlink("src/main.c", "../run.sh");
  git.remove("with space");
  git.make_symlink("with space", "docs");
  git.write_file("run.sh", "#!/bin/sh\necho run\n", false);
  git.write_file("docs/two.txt", "two\n", true);
  git.git({"mv", "data.bin", "docs/moved.bin"});
  git.commit("all types change");
  git.checkout("main");
}

}  // namespace

// main:     first - rename - third (v1, annotated) - fourth (light) - fifth - sixth
// ahead:    one commit on main; feature and conflict: two commits each on fourth; conflict changes the line of
// README.md
//           that fifth changes, and removes docs/two.txt, which sixth changes; types: one commit on main that turns
//           files, directories and symbolic links into each other.
void make_history(const fs::path& bare_destination) {
  TemporaryDirectory directory;
  GitRepository git(directory / "source");
  write_first_commit(git);
  git.commit("first");
  git.git({"mv", "docs/guide.md", "docs/manual.md"});
  git.commit("rename");
  git.write_file("docs/manual.md", numbered_lines(30, "third", 10));
  git.commit("third");
  git.annotated_tag("v1", "version 1");
  git.write_file("src/main.c", numbered_lines(40, "fourth", 5));
  git.commit("fourth");
  git.tag("light");
  git.write_file("README.md", numbered_lines(20, "ours", 3));
  git.write_file("src/main.c", numbered_lines(41, "fourth", 5));
  git.commit("fifth");
  git.write_file("docs/two.txt", "two\nsixth\n");
  git.write_file("src/lib/deep/c.txt", "c\nbad\n");
  git.commit("sixth");
  add_branches(git);
  git.bare_clone(bare_destination);
}

std::unique_ptr<TemporaryDirectory> SideBySide::served_;

void SideBySide::SetUpTestSuite() {
  served_ = std::make_unique<TemporaryDirectory>();
  make_history(*served_ / "remote.git");
}

void SideBySide::TearDownTestSuite() { served_.reset(); }

void SideBySide::SetUp() {
  if (::access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "there is no /dev/fuse here";
  std::ofstream(artifactfs_.home() / ".gitconfig") << kConfiguration;
  environment_ = artifactfs_.environment();
  mount_.root = artifactfs_ / "mount";
  plain_.root = artifactfs_ / "plain";
  for (const auto* side : {&mount_, &plain_}) {
    fs::create_directories(side->root);
    fs::copy(*served_ / "remote.git", side->root / "remote.git", fs::copy_options::recursive);
  }
  run({"git", "clone", "--quiet", "file://" + (plain_.root / "remote.git").string(), plain_.tree().string()},
      artifactfs_.environment());
  artifactfs_.mount("file://" + (mount_.root / "remote.git").string(), "mount/tree", mount_arguments());
  artifactfs_.wait_for_ref(mount_.tree(), "refs/remotes/origin/types");
  run({"git", "fetch", "--quiet", "--tags", "--unshallow"}, artifactfs_.environment(), mount_.tree());
  compare("mounting and cloning");
  step("for branch in feature conflict types; do git branch -q $branch origin/$branch; done");
}

SubprocessOutput SideBySide::run_on(const Side& side, const std::string& command) const {
  SubprocessOptions options;
  options.argv = {"bash", "-c", std::string(kPrelude) + command};
  options.environment = environment_;
  const std::string date = fmt::format("{} +0000", kFirstDate + 60 * steps_);
  set_environment_value(options.environment, "GIT_AUTHOR_DATE", date);
  set_environment_value(options.environment, "GIT_COMMITTER_DATE", date);
  set_environment_value(options.environment, "GIT_EDITOR", "true");
  set_environment_value(options.environment, "LC_ALL", "C");
  options.working_directory = side.tree().string();
  auto output = run_subprocess(std::move(options), "", Clock::system().now() + kCommandTimeout);
  if (!output) throw std::runtime_error(command + ": " + output.error().text() + "\n" + artifactfs_.log());
  replace_all(output->out, side.root.string(), "<side>");
  return std::move(*output);
}

std::string SideBySide::state_of(const Side& side) const {
  return run_on(side, std::string(kStateCommand)).out + "[tree]\n" + describe_tree(side.tree());
}

void SideBySide::step(const std::string& command) {
  ++steps_;
  const auto expected = run_on(plain_, command);
  const auto actual = run_on(mount_, command);
  EXPECT_EQ(expected.status, 0) << "in the plain clone fails: " << command << "\n" << expected.out << expected.err;
  EXPECT_EQ(expected.status, actual.status) << "in the mount differs: " << command << "\n" << actual.out << actual.err;
  EXPECT_EQ(line_differences(expected.out, actual.out), "")
      << "what it prints differs (- plain, + mount): " << command << "\n"
      << actual.err;
  compare(command);
}

void SideBySide::compare(const std::string& after) {
  EXPECT_EQ(line_differences(state_of(plain_), state_of(mount_)), "")
      << "different (- plain, + mount) after: " << after;
}

}  // namespace artifactfs::test
