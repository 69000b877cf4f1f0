// Rule 2: a thousand blocked reads must not slow one stat. The readers here are parked for ever.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "tests/integration/fuse/mounted.h"

namespace artifactfs {
namespace {

constexpr int kReaders = 1000;

class ParkedReadersTest : public MountedTest {
 protected:
  void TearDown() override {
    session_.reset();
    for (std::thread& reader : readers_) reader.join();
    MountedTest::TearDown();
  }

  // Each blocks in a file of its own; 4 MiB and read forward, so that readahead is involved.
  void block_readers() {
    for (int i = 0; i < kReaders; ++i) {
      filesystem_.park(filesystem_.add_large_file(kRootInode, "large" + std::to_string(i), 4 << 20));
    }
    mount();
    for (int i = 0; i < kReaders; ++i) {
      readers_.emplace_back([this, i] {
        std::array<char, 4096> buffer;
        const int fd = ::open(path("large" + std::to_string(i)).c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) return;
        if (::read(fd, buffer.data(), buffer.size()) < 0) ++failed_;
        ::close(fd);
      });
    }
    ASSERT_TRUE(eventually([&] { return session_->stats().parked == kReaders; }));
  }

  std::vector<std::thread> readers_;
  std::atomic<int> failed_ = 0;
};

TEST_F(ParkedReadersTest, OthersGoOn) {
  const InodeNumber directory = filesystem_.add_directory(kRootInode, "elsewhere");
  for (int i = 0; i < 200; ++i) filesystem_.add_file(directory, "file" + std::to_string(i), "content");
  filesystem_.add_large_file(directory, "large", 8 << 20);
  block_readers();
  // Each of these would hang, not be slow, if the parked ones held anything.
  EXPECT_EQ(201, std::stoi(output_of("ls -l " + path("elsewhere") + " | grep -c r--")));
  EXPECT_EQ("1400\n", output_of("cat " + path("elsewhere") + "/file* | wc -c"));
  EXPECT_EQ("8388608\n", output_of("cat " + path("elsewhere/large") + " | wc -c"));
  struct stat stat;
  for (int i = 0; i < kReaders; ++i) EXPECT_EQ(0, ::stat(path("large" + std::to_string(i)).c_str(), &stat));
  EXPECT_EQ(static_cast<uint64_t>(kReaders), session_->stats().parked);
}

TEST_F(ParkedReadersTest, AllAreAnsweredWhenTheDataArrive) {
  block_readers();
  for (InodeNumber inode = kRootInode + 1; inode <= kRootInode + kReaders; ++inode) filesystem_.release(inode);
  EXPECT_TRUE(eventually([&] { return session_->stats().parked == 0; }));
  for (std::thread& reader : readers_) reader.join();
  readers_.clear();
  EXPECT_EQ(0, failed_);
}

TEST_F(ParkedReadersTest, DestructorDoesNotHang) {
  block_readers();
  session_.reset();
  for (std::thread& reader : readers_) reader.join();
  readers_.clear();
  EXPECT_EQ(kReaders, failed_);
  EXPECT_EQ(0u, filesystem_.waiting());
}

TEST_F(ParkedReadersTest, LazyUnmountByAnotherLeavesThemWaitingUntilTheSessionEnds) {
  block_readers();
  EXPECT_EQ("", output_of("umount -l " + path() + " 2>&1"));
  EXPECT_EQ(static_cast<uint64_t>(kReaders), session_->stats().parked);
  EXPECT_EQ(0, ended_);
}

TEST_F(ParkedReadersTest, AbortedConnectionIsNoticed) {
  block_readers();
  int status = 1;
  output_of("umount -f " + path() + " 2>/dev/null", &status);  // aborts; then fails, because it is in use
  EXPECT_TRUE(eventually([&] { return ended_ == 1; }));
  EXPECT_TRUE(eventually([&] { return session_->stats().parked == 0 && filesystem_.waiting() == 0; }));
}

TEST_F(ParkedReadersTest, InvalidationBehindAParkedReadDoesNotHangTheEnd) {
  block_readers();
  for (InodeNumber inode = kRootInode + 1; inode <= kRootInode + 10; ++inode) session_->invalidate_inode(inode);
  session_.reset();
}

}  // namespace
}  // namespace artifactfs
