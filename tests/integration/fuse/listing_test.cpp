// Directories: large ones, odd names, positions that stay.
#include <dirent.h>
#include <sys/stat.h>

#include <cerrno>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/integration/fuse/mounted.h"

namespace artifactfs {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

class ListingTest : public MountedTest {};

TEST_F(ListingTest, HundredThousandEntriesOnceEachWithStablePositions) {
  constexpr size_t kEntries = 100'000;
  const InodeNumber big = filesystem_.add_directory(kRootInode, "big");
  for (size_t i = 0; i < kEntries; ++i) filesystem_.add_file(big, "entry-" + std::to_string(i), "");
  mount();
  for (int round = 0; round < 2; ++round) {  // the second from the kernel's cache
    const Directory directory(::opendir(path("big").c_str()));
    ASSERT_TRUE(directory);
    std::set<std::string> names;
    std::vector<std::pair<long, std::string>> positions;
    while (true) {
      const long position = ::telldir(directory.get());
      const dirent* const entry = ::readdir(directory.get());
      if (entry == nullptr) break;
      EXPECT_TRUE(names.insert(entry->d_name).second) << entry->d_name;
      if (names.size() % 9973 == 0) positions.emplace_back(position, entry->d_name);
    }
    EXPECT_EQ(kEntries + 2, names.size());
    while (!positions.empty()) {
      ::seekdir(directory.get(), positions.back().first);
      const dirent* const entry = ::readdir(directory.get());
      ASSERT_NE(nullptr, entry);
      EXPECT_EQ(positions.back().second, entry->d_name);
      positions.pop_back();
    }
  }
}

TEST_F(ListingTest, NamesOfAnyBytesAndOfFullLength) {
  std::vector<std::string> names = {
      std::string(255, 'n'), "\xff\xfe\x80", "line\nbreak", "tab\there",           " ", "-rf", "*",
      "back\\slash",         "\x01",         "...",         "\xc3\xa4\xe2\x82\xac"};
  for (const std::string& name : names) filesystem_.add_file(kRootInode, name, "content of " + name);
  mount();
  std::set<std::string> listed;
  const Directory directory(::opendir(path().c_str()));
  while (const dirent* entry = ::readdir(directory.get())) listed.insert(entry->d_name);
  for (const std::string& name : names) {
    EXPECT_TRUE(listed.contains(name)) << name;
    struct stat stat;
    EXPECT_EQ(0, ::stat(path(name).c_str(), &stat)) << name;
    EXPECT_EQ(static_cast<off_t>(11 + name.size()), stat.st_size);
  }
  EXPECT_EQ(names.size() + 2, listed.size());
  struct stat stat;
  EXPECT_EQ(-1, ::stat(path(std::string(255, 'x')).c_str(), &stat));
  EXPECT_EQ(ENOENT, errno);
}

TEST_F(ListingTest, InodeNumbersOfListingAndStatAgree) {
  const InodeNumber inner = filesystem_.add_directory(kRootInode, "inner");
  filesystem_.add_file(inner, "file", "");
  filesystem_.add_symlink(inner, "link", "file");
  filesystem_.add_directory(inner, "directory");
  mount();
  const Directory directory(::opendir(path("inner").c_str()));
  const std::map<std::string, unsigned char> types = {
      {".", DT_DIR}, {"..", DT_DIR}, {"file", DT_REG}, {"link", DT_LNK}, {"directory", DT_DIR}};
  size_t seen = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    struct stat stat;
    ASSERT_EQ(0, ::lstat(path("inner/" + std::string(entry->d_name)).c_str(), &stat));
    EXPECT_EQ(stat.st_ino, entry->d_ino) << entry->d_name;
    EXPECT_EQ(types.at(entry->d_name), entry->d_type) << entry->d_name;
    ++seen;
  }
  EXPECT_EQ(types.size(), seen);
}

}  // namespace
}  // namespace artifactfs
