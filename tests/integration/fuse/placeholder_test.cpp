// A file whose size is not known yet has a placeholder, which nobody is ever shown.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "tests/integration/fuse/mounted.h"

namespace artifactfs {
namespace {

class PlaceholderTest : public MountedTest {
 protected:
  void SetUp() override {
    MountedTest::SetUp();
    if (IsSkipped()) return;
    directory_ = filesystem_.add_directory(kRootInode, "dir");
    for (int i = 0; i < 20; ++i) add("file" + std::to_string(i), "0123456789\n", 0644);
    add("script", "#!/bin/sh\necho ran\n", 0755);
    mount();
    output_of("ls " + path("dir"));
    before_ = filesystem_.counts().getattr;
  }
  void add(const std::string& name, std::string content, uint32_t mode) {
    filesystem_.forget_size(filesystem_.add_file(directory_, name, std::move(content), mode));
  }
  uint64_t getattrs() const { return const_cast<PlaceholderTest*>(this)->filesystem_.counts().getattr - before_; }
  InodeNumber directory_ = 0;
  uint64_t before_ = 0;
};

TEST_F(PlaceholderTest, ListingAndFindingAskForNoSize) {
  output_of("ls " + path("dir"));
  output_of("ls -R " + path());
  output_of("find " + path());
  output_of("find " + path() + " -type f");
  EXPECT_EQ(0u, getattrs());
}

TEST_F(PlaceholderTest, StatSeesTheTrueSizeAfterOneGetattr) {
  EXPECT_EQ("11\n", output_of("stat -c %s " + path("dir/file0")));
  EXPECT_EQ(1u, getattrs());
  EXPECT_EQ("11\n", output_of("stat -c %s " + path("dir/file0")));
  EXPECT_EQ(1u, getattrs());
}

TEST_F(PlaceholderTest, ListingWithSizesAsksOnceAFile) {
  EXPECT_EQ("20\n", output_of("ls -l " + path("dir") + " | grep -c ' 11 '"));
  EXPECT_EQ(21u, getattrs());
}

TEST_F(PlaceholderTest, WordCountSeesTheTrueSize) {
  EXPECT_EQ("11\n", output_of("wc -c < " + path("dir/file1")));
  EXPECT_EQ(1u, getattrs());
}

TEST_F(PlaceholderTest, CatSeesTheContent) {
  EXPECT_EQ("0123456789\n", output_of("cat " + path("dir/file2")));
  EXPECT_EQ(1u, getattrs());
}

TEST_F(PlaceholderTest, MappedFileHasItsContent) {
  const int fd = ::open(path("dir/file3").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  void* const map = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  ASSERT_NE(MAP_FAILED, map);
  EXPECT_EQ("0123456789\n", std::string(static_cast<const char*>(map), 11));
  ::munmap(map, 4096);
  ::close(fd);
  EXPECT_EQ(1u, getattrs());
}

TEST_F(PlaceholderTest, AccessCheckIsRight) {
  int status = 1;
  output_of("test -r " + path("dir/file4"), &status);
  EXPECT_EQ(0, status);
  output_of("test -s " + path("dir/file4"), &status);  // "has a size greater than zero"
  EXPECT_EQ(0, status);
  EXPECT_EQ(1u, getattrs());
}

TEST_F(PlaceholderTest, ScriptRuns) {
  EXPECT_EQ("ran\n", output_of(path("dir/script")));
  EXPECT_EQ(1u, getattrs());
}

TEST_F(PlaceholderTest, SeekToTheEndIsRight) {
  const int fd = ::open(path("dir/file5").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(11, ::lseek(fd, 0, SEEK_END));
  ::close(fd);
}

TEST_F(PlaceholderTest, StatxSeesTheTrueSizeUnlessToldNotToAsk) {
  struct statx stat;
  ASSERT_EQ(0, ::statx(AT_FDCWD, path("dir/file6").c_str(), 0, STATX_TYPE | STATX_MODE, &stat));
  const uint64_t for_mode = getattrs();
  ASSERT_EQ(0, ::statx(AT_FDCWD, path("dir/file6").c_str(), 0, STATX_SIZE, &stat));
  EXPECT_EQ(11u, stat.stx_size);
  EXPECT_EQ(1u, getattrs());
  // Whoever asks only for the mode need not wait for the size. (The kernel asks, because all attributes expire at
  // once.)
  EXPECT_LE(for_mode, 1u);
}

TEST_F(PlaceholderTest, SizeIsAwaitedWhenItIsFarAway) {
  const InodeNumber file = directory_ + 1;
  filesystem_.park(file);
  std::string size;
  std::thread asker([&] { size = output_of("stat -c %s " + path("dir/file0")); });
  EXPECT_TRUE(eventually([&] { return session_->stats().parked == 1; }));
  EXPECT_EQ("11\n", output_of("stat -c %s " + path("dir/file1")));
  filesystem_.release(file);
  asker.join();
  EXPECT_EQ("11\n", size);
}

}  // namespace
}  // namespace artifactfs
