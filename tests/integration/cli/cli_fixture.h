// CliTest: a state directory, a repository and empty directories of a test's own, and the real `artifactfs` on them.
// What is mounted and running at a test's end is ended, by its own path and pid.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/subprocess.h"
#include "tests/harness/git_repository.h"
#include "tests/harness/temporary_directory.h"

namespace artifactfs::test {

class CliTest : public testing::Test {
 protected:
  CliTest();
  ~CliTest() override;

  /// Runs `artifactfs` with `arguments`, its working directory being base().
  SubprocessOutput cli(const std::vector<std::string>& arguments);
  /// A process that goes on running: `artifactfs` with `arguments`, standard error in base()/"background.log".
  Subprocess start(const std::vector<std::string>& arguments);

  std::filesystem::path base() const { return base_; }
  std::string source() const { return (base_ / "source").string(); }
  /// An empty directory, made if need be.
  std::string directory(const std::string& name);

  nlohmann::json status();
  pid_t daemon_pid();  // 0: none
  std::string phase(const std::string& directory);
  /// Waits up to 20 s.
  bool wait_until(const std::function<bool()>& condition);

  void expect_no_mounts();
  void expect_empty_state();

 private:
  TemporaryDirectory temporary_;
  const std::filesystem::path base_;
  Environment environment_;

 protected:
  GitRepository repository_;
};

bool is_mounted(const std::string& directory);

}  // namespace artifactfs::test
