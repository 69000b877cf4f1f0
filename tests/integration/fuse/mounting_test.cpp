// Coming and going: errors that say what to do, busy, lazy, somebody else's umount, no leaks, no hanging.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>

#include "base/unique_fd.h"
#include "tests/integration/fuse/mounted.h"

namespace artifactfs {
namespace {

class MountingTest : public MountedTest {
 protected:
  bool is_mounted() const { return read_file("/proc/self/mounts")->find(" " + path() + " ") != std::string::npos; }
  Error error_of_mounting(const std::string& directory) {
    auto session = FuseSession::mount(directory, {.source = "test"}, filesystem_, nullptr);
    return session ? Error{} : session.error();
  }
};

ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
}
ptrdiff_t threads() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
}

TEST_F(MountingTest, ErrorsNameTheDirectory) {
  EXPECT_EQ(ErrorCode::not_found, error_of_mounting(root_ + "/absent").code);
  EXPECT_NE(std::string::npos,
            error_of_mounting(root_ + "/absent").text().find("cannot mount on '" + root_ + "/absent'"));
  const std::string file = root_ + "/file";
  ASSERT_TRUE(write_file_atomically(file, ""));
  EXPECT_EQ(ErrorCode::not_directory, error_of_mounting(file).code);
  ::unlink(file.c_str());
}

TEST_F(MountingTest, TwiceOnOneDirectoryIsRefused) {
  mount();
  const Error error = error_of_mounting(root_);
  EXPECT_EQ(ErrorCode::already_exists, error.code) << error.text();
}

TEST_F(MountingTest, UnmountWhileInUseIsBusyUnlessLazy) {
  filesystem_.add_file(kRootInode, "file", "content");
  filesystem_.add_file(kRootInode, "other", "more");
  mount();
  UniqueFd file = open_file(path("file"), O_RDONLY).value();
  const auto busy = session_->unmount(false);
  ASSERT_FALSE(busy);
  EXPECT_EQ(ErrorCode::busy, busy.error().code) << busy.error().text();
  EXPECT_TRUE(is_mounted());
  EXPECT_EQ("more", output_of("cat " + path("other")));
  ASSERT_TRUE(session_->unmount(true));
  EXPECT_FALSE(is_mounted());
  char content[8] = {};
  EXPECT_EQ(7, ::pread(file.get(), content, 7, 0));  // its last user is still served
  EXPECT_STREQ("content", content);
  file.reset();
  session_.reset();
  EXPECT_EQ(0, ended_);
}

TEST_F(MountingTest, UnmountTwiceIsNoError) {
  mount();
  EXPECT_TRUE(session_->unmount(false));
  EXPECT_TRUE(session_->unmount(false));
  EXPECT_FALSE(is_mounted());
}

TEST_F(MountingTest, SomebodyElsesUnmountIsReportedOnce) {
  mount();
  ASSERT_EQ(0, ::umount(root_.c_str()));
  EXPECT_TRUE(eventually([&] { return ended_ == 1; }));
  EXPECT_TRUE(session_->unmount(false));
  session_.reset();
  EXPECT_EQ(1, ended_);
}

TEST_F(MountingTest, AnotherMountOverOursIsLeftAlone) {
  mount();
  if (::mount("none", root_.c_str(), "tmpfs", 0, nullptr) != 0) GTEST_SKIP() << "cannot mount a tmpfs here";
  const auto unmounted = session_->unmount(false);
  ASSERT_FALSE(unmounted);
  EXPECT_EQ(ErrorCode::busy, unmounted.error().code);
  ASSERT_EQ(0, ::umount(root_.c_str()));
  EXPECT_TRUE(session_->unmount(false));
}

TEST_F(MountingTest, DirectoryWithOddNameAndThroughSymlink) {
  const std::string odd = root_ + "/with space, comma\\ and \ttab";
  const std::string link = root_ + "/link";
  ASSERT_EQ(0, ::mkdir(odd.c_str(), 0700));
  ASSERT_EQ(0, ::symlink(odd.c_str(), link.c_str()));
  filesystem_.add_file(kRootInode, "file", "content");
  auto session = FuseSession::mount(link + "/", {.source = "test"}, filesystem_, nullptr);
  ASSERT_TRUE(session) << session.error().text();
  EXPECT_EQ("content", read_file(odd + "/file").value());
  EXPECT_TRUE((*session)->unmount(false));
  session->reset();
  EXPECT_EQ(0, ::unlink(link.c_str()));
  EXPECT_EQ(0, ::rmdir(odd.c_str()));
}

TEST_F(MountingTest, FiftyMountsLeakNothing) {
  filesystem_.add_file(kRootInode, "file", "content");
  mount();
  session_.reset();
  const ptrdiff_t descriptors_before = open_descriptors(), threads_before = threads();
  for (int i = 0; i < 50; ++i) {
    mount();
    EXPECT_EQ("content", read_file(path("file")).value());
    if (i % 2 == 0) {
      EXPECT_TRUE(session_->unmount(false));
    }
    session_.reset();
    EXPECT_FALSE(is_mounted());
  }
  EXPECT_EQ(descriptors_before, open_descriptors());
  EXPECT_EQ(threads_before, threads());
}

TEST_F(MountingTest, DeviceIsClosedOnExec) {
  mount();
  EXPECT_EQ("", output_of("ls -l /proc/self/fd | grep -F /dev/fuse"));
}

TEST_F(MountingTest, SessionThreadsBlockSignals) {
  mount();
  const std::string blocked = output_of("for t in /proc/" + std::to_string(::getpid()) +
                                        "/task/*; do grep -q '^fuse-[01]$' $t/comm && grep SigBlk $t/status; done");
  // Everything but SIGURG (23), SIGKILL, SIGSTOP and glibc's own two (32, 33).
  EXPECT_EQ("SigBlk:\tfffffffe7fbbfeff\nSigBlk:\tfffffffe7fbbfeff\n", blocked);
}

TEST_F(MountingTest, MountAndUnmountUnderLoad) {
  for (int i = 0; i < 100; ++i) filesystem_.add_file(kRootInode, "file" + std::to_string(i), "content");
  filesystem_.park(filesystem_.add_file(kRootInode, "parked", "content"));
  std::atomic<bool> stop = false;
  std::vector<std::thread> users;
  for (int user = 0; user < 4; ++user) {
    users.emplace_back([&, user] {
      for (int i = user; !stop; ++i) {
        // Any answer will do (the mount comes and goes), but there must be one.
        (void)read_file(path("file" + std::to_string(i % 100)));
        if (user == 0) (void)read_file(path("parked"));
        std::error_code error;
        for (std::filesystem::directory_iterator entry(root_, error), end; !error && entry != end;) {
          entry.increment(error);
        }
      }
    });
  }
  for (int i = 0; i < 30; ++i) {
    mount({.source = "test", .session_threads = 1 + static_cast<unsigned>(i) % 4});
    EXPECT_TRUE(eventually([&] { return session_->stats().requests > 50; }));
    session_->invalidate_inode(kRootInode + 1);
    if (i % 3 == 0) (void)session_->unmount(false);
    if (i % 3 == 1) {
      EXPECT_TRUE(session_->unmount(true));
    }
    session_.reset();
  }
  stop = true;
  for (std::thread& user : users) user.join();
}

}  // namespace
}  // namespace artifactfs
