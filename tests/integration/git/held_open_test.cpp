// A program has a file open while git works on it: it goes on with the file that it opened, as on a native filesystem.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"
#include "tests/integration/git/side_by_side.h"
#include "tests/integration/git/working_tree.h"

namespace artifactfs::test {

struct HeldOpen {
  const char* name;
  const char* file;
  const char* before;  // a step before the file is opened
  std::vector<std::string> steps;
};

void PrintTo(const HeldOpen& held, std::ostream* out) { *out << held.name; }

namespace {

const std::vector<HeldOpen> kHeldOpen = {
    {"CheckoutOfAnotherBranch", "src/main.c", "true", {"git checkout -q v1", "git checkout -q main"}},
    {"CheckoutThatRemovesIt", "docs/two.txt", "true", {"git checkout -q conflict", "git checkout -q main"}},
    {"FileBecomesDirectory", "docs/one.txt", "true", {"git checkout -q types", "git checkout -q main"}},
    {"DirectoryAboveGoes", "src/lib/deep/c.txt", "true", {"git checkout -q types", "git reset -q --hard main"}},
    {"ResetHardAfterEdit", "README.md", "echo edited >> README.md", {"git reset -q --hard"}},
    {"StashAndPop", "run.sh", "echo edited >> run.sh", {"git stash -q", "git stash pop -q"}},
    {"RemovedAndCommitted",
     "run.sh",
     "true",
     {"git rm -q run.sh", "git commit -q -m gone", "git reset -q --hard HEAD~1"}},
    {"Moved", "README.md", "true", {"git mv README.md docs/README.md", "git commit -q -m moved"}},
    {"DirectoryMoved", "src/lib/a.txt", "true", {"git mv src/lib src/library", "git commit -q -m moved"}},
    {"Rebase", "src/main.c", "git checkout -q feature", {"git rebase -q main"}},
    {"MergeConflict", "README.md", "true", {"no git merge origin/conflict", "git merge --abort"}},
    {"CommitOfTheEdit", "README.md", "echo edited >> README.md", {"git commit -q -a -m edited"}},
    {"CleanOfUntracked", "new", "echo new > new", {"git clean -fdxq"}},
    {"Amend",
     "docs/manual.md",
     "echo x >> docs/manual.md",
     {"git commit -q -a --amend --no-edit", "git reset -q --hard HEAD~1"}},
};

// What the descriptor shows: links to the file, its size and all its bytes.
std::string described(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return fmt::format("fstat: {}", std::strerror(errno));
  std::array<char, size_t{64} << 10> content{};
  const ssize_t n = ::pread(fd, content.data(), content.size(), 0);
  if (n < 0) return fmt::format("pread: {}", std::strerror(errno));
  return fmt::format("{:o} links {} size {}\n{}", st.st_mode, st.st_nlink, st.st_size,
                     std::string(content.data(), static_cast<size_t>(n)));
}

std::string name_of(const ::testing::TestParamInfo<HeldOpen>& info) { return info.param.name; }

}  // namespace

class FileHeldOpen : public SideBySide, public ::testing::WithParamInterface<HeldOpen> {
  // So that a file is fetched while it is held.
  std::vector<std::string> mount_arguments() const override { return {"--prefetch=none"}; }
};

TEST_P(FileHeldOpen, ShowsAndTakesTheSameThroughTheStep) {
  const auto& held = GetParam();
  step(held.before);
  const UniqueFd in_plain(::open((plain().tree() / held.file).c_str(), O_RDWR | O_CLOEXEC));
  const UniqueFd in_mount(::open((mount().tree() / held.file).c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(in_plain);
  ASSERT_TRUE(in_mount) << std::strerror(errno);
  for (const auto& command : held.steps) {
    step(command);
    EXPECT_EQ(line_differences(described(in_plain.get()), described(in_mount.get())), "") << "after: " << command;
    const std::string text = "written after: " + command + "\n";
    for (const int fd : {in_plain.get(), in_mount.get()}) {
      EXPECT_EQ(::pwrite(fd, text.data(), text.size(), 3), static_cast<ssize_t>(text.size())) << std::strerror(errno);
    }
    EXPECT_EQ(line_differences(described(in_plain.get()), described(in_mount.get())), "")
        << "written after: " << command;
    compare("writing to the open file after: " + command);
    if (HasFailure()) break;
  }
}

INSTANTIATE_TEST_SUITE_P(Git, FileHeldOpen, ::testing::ValuesIn(kHeldOpen), name_of);

}  // namespace artifactfs::test
