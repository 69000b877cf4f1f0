#include "tests/integration/mount/mount_test.h"

#include <unistd.h>

#include <algorithm>
#include <random>
#include <sstream>
#include <system_error>

#include "tests/harness/command.h"

namespace artifactfs::test {

namespace fs = std::filesystem;

void MountTest::SetUp() {
  if (::access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "there is no /dev/fuse here";
  fs::create_directories(served());
}

std::map<std::string, ListedEntry> ls_tree(const fs::path& repository) {
  std::map<std::string, ListedEntry> entries;
  std::istringstream lines(
      run({"git", "-C", repository.string(), "ls-tree", "-r", "-t", "-l", "-z", "HEAD"}, git_environment()));
  for (std::string line; std::getline(lines, line, '\0');) {
    const size_t tab = line.find('\t');
    std::istringstream fields(line.substr(0, tab));
    ListedEntry entry;
    std::string type, size;
    fields >> entry.mode >> type >> entry.oid >> size;
    if (size != "-") entry.size_bytes = std::stoull(size);
    entries.emplace(line.substr(tab + 1), entry);
  }
  return entries;
}

std::vector<std::string> names_below(const fs::path& directory) {
  std::vector<std::string> names;
  for (auto it = fs::recursive_directory_iterator(directory); it != fs::recursive_directory_iterator(); ++it) {
    std::string name = it->path().lexically_relative(directory).string();
    if (name == ".git") {
      it.disable_recursion_pending();
      continue;
    }
    names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

struct stat stat_of(const fs::path& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) throw std::system_error(errno, std::generic_category(), path.string());
  return st;
}

void plain_checkout(const fs::path& repository, const fs::path& checkout) {
  run({"git", "clone", "--quiet", repository.string(), checkout.string()}, git_environment());
}

void expect_same_content(const fs::path& checkout, const fs::path& mount) {
  SubprocessOptions options;
  options.argv = {"diff", "--recursive", "--no-dereference", "--exclude=.git", checkout.string(), mount.string()};
  options.environment = current_environment();
  const auto output = run_subprocess(std::move(options), "", Clock::system().now() + std::chrono::minutes(2));
  ASSERT_TRUE(output) << output.error().text();
  EXPECT_EQ(0, output->status) << output->out.substr(0, 2000) << output->err.substr(0, 2000);
  EXPECT_EQ("", output->out.substr(0, 2000));
  EXPECT_EQ(names_below(checkout), names_below(mount));
}

std::string noise(uint64_t bytes, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string content;
  content.reserve(bytes + sizeof(uint64_t));
  while (content.size() < bytes) {
    const uint64_t word = random();
    content.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  content.resize(bytes);
  return content;
}

}  // namespace artifactfs::test
