// A blocked reader that is dying ends at once; one that is only signalled never sees EINTR.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "tests/integration/fuse/mounted.h"

namespace artifactfs {
namespace {

class InterruptsTest : public MountedTest {
 protected:
  void SetUp() override {
    MountedTest::SetUp();
    if (IsSkipped()) return;
    file_ = filesystem_.add_file(kRootInode, "file", "content");
    filesystem_.park(file_);
    mount();
  }
  // Until the read has been interrupted at least once (an INTERRUPT is a request too).
  bool interrupted_since(uint64_t requests) {
    return eventually([&] { return session_->stats().requests > requests; });
  }
  void expect_nothing_left() {
    EXPECT_TRUE(eventually([&] { return session_->stats().parked == 0 && filesystem_.waiting() == 0; }));
  }
  InodeNumber file_ = 0;
};

void ring_every_5_ms() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGALRM, &action, nullptr);
  const itimerval timer{{0, 5000}, {0, 5000}};
  ::setitimer(ITIMER_REAL, &timer, nullptr);
}

TEST_F(InterruptsTest, SigintEndsABlockedReader) {
  ReadingChild child(path("file"));
  ASSERT_TRUE(eventually([&] { return session_->stats().parked == 1; }));
  ::kill(child.pid(), SIGINT);
  const int status = child.wait();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
  expect_nothing_left();
}

TEST_F(InterruptsTest, SigkillEndsABlockedReader) {
  ReadingChild child(path("file"));
  ASSERT_TRUE(eventually([&] { return session_->stats().parked == 1; }));
  ::kill(child.pid(), SIGKILL);
  const int status = child.wait();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  expect_nothing_left();
}

TEST_F(InterruptsTest, CoreDumpingSignalEndsABlockedReader) {  // SIGQUIT stays pending as itself
  ReadingChild child(path("file"));
  ASSERT_TRUE(eventually([&] { return session_->stats().parked == 1; }));
  ::kill(child.pid(), SIGQUIT);
  const int status = child.wait();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT);
  expect_nothing_left();
}

TEST_F(InterruptsTest, ReaderWithATimerNeverSeesEintrAndGetsItsData) {
  const uint64_t before = session_->stats().requests + 2;  // LOOKUP (or OPEN), READ
  ReadingChild child(path("file"), ring_every_5_ms);
  ASSERT_TRUE(eventually([&] { return session_->stats().parked == 1; }));
  ASSERT_TRUE(interrupted_since(before));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // some twenty alarms, several looks
  EXPECT_FALSE(child.has_ended());
  filesystem_.release(file_);
  const int status = child.wait();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(0, WEXITSTATUS(status));
  expect_nothing_left();
}

TEST_F(InterruptsTest, ReaderWithATimerDiesAtOnceWhenKilledLater) {
  for (const int signal : {SIGINT, SIGKILL}) {
    ReadingChild child(path("file"), ring_every_5_ms);
    ASSERT_TRUE(eventually([&] { return session_->stats().parked == 1; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_FALSE(child.has_ended());
    ::kill(child.pid(), signal);
    const int status = child.wait();
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal);
    expect_nothing_left();
  }
}

TEST_F(InterruptsTest, SignalOfASiblingThreadKillsAMultiThreadedReader) {
  for (const int signal : {SIGINT, SIGKILL, SIGTERM}) {
    const std::string file = path("file");
    const pid_t child = ::fork();
    if (child == 0) {
      const auto read_all = [](void* name) -> void* {
        char byte;
        const int fd = ::open(static_cast<const char*>(name), O_RDONLY);
        return ::read(fd, &byte, 1) == 1 ? name : nullptr;
      };
      pthread_t threads[3];
      for (pthread_t& thread : threads) {
        ::pthread_create(&thread, nullptr, read_all, const_cast<char*>(file.c_str()));
      }
      while (true) ::pause();
    }
    // One page, so one READ: the others wait for its lock.
    ASSERT_TRUE(eventually([&] { return session_->stats().parked >= 1; }));
    ::kill(child, signal);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal);
    expect_nothing_left();
  }
}

TEST_F(InterruptsTest, BlockedStatEndsToo) {
  filesystem_.forget_size(file_);
  ReadingChild child(path("file"));  // blocks in open, where the permission check asks for the attributes
  ASSERT_TRUE(eventually([&] { return session_->stats().parked == 1; }));
  EXPECT_EQ(0u, filesystem_.counts().read);
  ::kill(child.pid(), SIGTERM);
  const int status = child.wait();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  expect_nothing_left();
}

TEST_F(InterruptsTest, ManyReadersKilledAtOnce) {
  std::vector<std::unique_ptr<ReadingChild>> children;
  std::vector<InodeNumber> files;
  ASSERT_TRUE(session_->unmount(false));
  session_.reset();
  for (int i = 0; i < 100; ++i) {
    files.push_back(filesystem_.add_file(kRootInode, "many" + std::to_string(i), "x"));
    filesystem_.park(files.back());
  }
  mount();
  for (int i = 0; i < 100; ++i) {
    children.push_back(std::make_unique<ReadingChild>(path("many" + std::to_string(i)), ring_every_5_ms));
  }
  ASSERT_TRUE(eventually([&] { return session_->stats().parked == 100; }));
  for (const auto& child : children) ::kill(child->pid(), SIGKILL);
  for (const auto& child : children) EXPECT_TRUE(WIFSIGNALED(child->wait()));
  expect_nothing_left();
}

}  // namespace
}  // namespace artifactfs
