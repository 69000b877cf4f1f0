// What a change makes the mount fetch, and what waits for it.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "tests/integration/fuse_write/side_by_side.h"

namespace artifactfs::test {
namespace {

class FetchingTest : public SideBySide {
 protected:
  void hold() { base_.objects().hold(); }
  void TearDown() override {
    base_.objects().release();
    SideBySide::TearDown();
  }
  void wait_for_requests(size_t count) {
    while (base_.objects().waiting() < count) ::usleep(1000);
  }
};

TEST_F(FetchingTest, TruncationOfASizedFileFetchesNothing) {
  look(root() + "c");  // its size is known to the kernel from here on
  const size_t before = base_.objects().requests();
  {
    const UniqueFd fd = open_at(root() + "c", O_WRONLY | O_TRUNC);
    ASSERT_TRUE(fd);
    EXPECT_EQ(3, ::write(fd.get(), "new", 3));
  }
  EXPECT_EQ("new", content(root() + "c"));
  EXPECT_EQ("ok", said(::truncate((root() + "d").c_str(), 0)));
  EXPECT_EQ(before, base_.objects().requests());
}

TEST_F(FetchingTest, NamesAndModesOfUnfetchedFilesFetchNothing) {
  hold();
  EXPECT_EQ("ok", said(::rename((root() + "c").c_str(), (root() + "moved").c_str())));
  EXPECT_EQ("ok", said(::rename((root() + "a").c_str(), (root() + "b/a2").c_str())));
  EXPECT_EQ("ok", said(::chmod((root() + "b/a2/b").c_str(), 0600)));
  // (link(2) is left out: with protected_hardlinks the kernel looks at the file first.)
  EXPECT_EQ("ok", said(::unlink((root() + "d").c_str())));
  EXPECT_EQ("ok", said(::symlink("x", (root() + "d").c_str())));
  EXPECT_EQ("b d e f moved ", names(root()));
  EXPECT_EQ(0u, base_.objects().requests());
  base_.objects().release();
  EXPECT_EQ("four", content(root() + "moved"));
  EXPECT_EQ("100600 links 1", look(root() + "b/a2/b").substr(0, 14));
}

TEST_F(FetchingTest, AppendToAnUnfetchedFileWaitsAndKeepsItsHead) {
  hold();
  std::string written;
  std::thread appending([&] {
    const UniqueFd fd = open_at(root() + "d", O_WRONLY | O_APPEND);
    written = said(::write(fd.get(), "tail", 4));
  });
  wait_for_requests(1);
  // Nothing else waits with it.
  EXPECT_EQ("ok", said(::mkdir((root() + "meanwhile").c_str(), 0755)));
  EXPECT_TRUE(open_at(root() + "meanwhile/file", O_CREAT | O_WRONLY));
  base_.objects().release();
  appending.join();
  EXPECT_EQ("4", written);
  EXPECT_EQ(std::string(9000, 'y') + "tail", content(root() + "d"));
}

TEST_F(FetchingTest, AKilledWriterLeavesAtOnce) {
  look(root() + "d");  // sized, so that what waits is the write
  hold();
  const pid_t pid = ::fork();
  if (pid == 0) {
    const int fd = ::open((root() + "d").c_str(), O_WRONLY);
    ::_exit(::pwrite(fd, "x", 1, 0) == 1 ? 0 : 1);
  }
  wait_for_requests(1);
  ::kill(pid, SIGKILL);
  int status = 0;
  EXPECT_EQ(pid, ::waitpid(pid, &status, 0));
  EXPECT_TRUE(WIFSIGNALED(status));
  base_.objects().release();
  EXPECT_EQ(9000u, content(root() + "d").size());
}

TEST_F(FetchingTest, PartialTruncationKeepsTheHead) {
  EXPECT_EQ("ok", said(::truncate((root() + "d").c_str(), 5)));
  EXPECT_EQ("yyyyy", content(root() + "d"));
}

}  // namespace
}  // namespace artifactfs::test
