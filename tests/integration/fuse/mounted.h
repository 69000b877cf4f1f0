// A fixture that mounts a FakeFilesystem on a directory of its own, and what tests do to a mount: run programs, read
// from child processes that can be killed.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "fuse/session.h"
#include "tests/integration/fuse/fake_filesystem.h"

namespace artifactfs {

class MountedTest : public ::testing::Test {
 protected:
  /// Skips where there is no FUSE.
  void SetUp() override;
  /// Unmounts and removes the directory.
  void TearDown() override;

  void mount(FuseOptions options = {.source = "test"});
  std::string path(const std::string& name = "") const { return name.empty() ? root_ : root_ + "/" + name; }

  std::atomic<int> ended_ = 0;
  FakeFilesystem filesystem_;
  std::string root_;
  std::unique_ptr<FuseSession> session_;
};

/// Waits until `condition` holds; false after half a minute. For states that nothing announces.
bool eventually(const std::function<bool()>& condition);

/// What a shell command prints on stdout; its exit status in *status if not null.
std::string output_of(const std::string& command, int* status = nullptr);

/// A child process that opens and reads a file to its end. Killed and reaped on destruction.
class ReadingChild {
 public:
  /// `prepare` runs in the child before, and may only use async-signal-safe functions.
  explicit ReadingChild(
      const std::string& file, void (*prepare)() = [] {});
  ~ReadingChild();
  ReadingChild(const ReadingChild&) = delete;
  ReadingChild& operator=(const ReadingChild&) = delete;
  pid_t pid() const { return pid_; }
  /// Its wait(2) status. It exits 0 when all was read, else with the errno of the failed call.
  int wait();
  bool has_ended();

 private:
  pid_t pid_;
  bool reaped_ = false;
  int status_ = 0;
};

}  // namespace artifactfs
