#include "tests/integration/fuse/mounted.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

namespace artifactfs {

void MountedTest::SetUp() {
  const int fd = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fd < 0) GTEST_SKIP() << "/dev/fuse cannot be opened here";
  ::close(fd);
  std::string pattern = (std::filesystem::temp_directory_path() / "artifactfs-fuse-XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  root_ = pattern;
}

void MountedTest::TearDown() {
  session_.reset();
  if (!root_.empty()) ::rmdir(root_.c_str());
}

void MountedTest::mount(FuseOptions options) {
  auto session = FuseSession::mount(root_, options, filesystem_, [this] { ++ended_; });
  ASSERT_TRUE(session) << session.error().text();
  session_ = std::move(*session);
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 30'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

std::string output_of(const std::string& command, int* status) {
  FILE* pipe = ::popen(command.c_str(), "re");
  if (pipe == nullptr) return "popen failed";
  std::string output;
  std::array<char, 4096> buffer;
  while (const size_t size = ::fread(buffer.data(), 1, buffer.size(), pipe)) output.append(buffer.data(), size);
  const int closed = ::pclose(pipe);
  if (status != nullptr) *status = WEXITSTATUS(closed);
  return output;
}

ReadingChild::ReadingChild(const std::string& file, void (*prepare)()) : pid_(::fork()) {
  if (pid_ != 0) return;
  prepare();
  const int fd = ::open(file.c_str(), O_RDONLY);
  if (fd < 0) ::_exit(errno);
  static std::array<char, 65536> buffer;
  while (true) {
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size < 0) ::_exit(errno);
    if (size == 0) ::_exit(0);
  }
}

ReadingChild::~ReadingChild() {
  if (reaped_) return;
  ::kill(pid_, SIGKILL);
  wait();
}

int ReadingChild::wait() {
  if (!reaped_) {
    ::waitpid(pid_, &status_, 0);
    reaped_ = true;
  }
  return status_;
}

bool ReadingChild::has_ended() {
  if (!reaped_) reaped_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
  return reaped_;
}

}  // namespace artifactfs
