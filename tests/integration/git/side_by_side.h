// SideBySide: a mount and a plain clone of the same history, each with a remote of its own, in which the same commands
// are run; after each, all that git and the eye can see must be the same in both.
//
//   <directory>/mount/tree   the mount         <directory>/plain/tree   the plain clone
//             /mount/remote.git                          /plain/remote.git
//
// So "../remote.git" is the remote and ".." a place outside of the working tree, for either. Both have all history
// and all refs. Identity and dates are the same, so commit ids are too.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/integration/mount/artifactfs_runner.h"

namespace artifactfs::test {

/// Gives a repository the history that the scenarios speak of; see the definition.
void make_history(const std::filesystem::path& bare_destination);

class SideBySide : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void SetUp() override;
  /// More words for `artifactfs mount`.
  virtual std::vector<std::string> mount_arguments() const { return {}; }

  struct Side {
    std::filesystem::path root;  // of tree, remote.git and whatever a command puts beside them
    std::filesystem::path tree() const { return root / "tree"; }
  };
  const Side& mount() const { return mount_; }
  const Side& plain() const { return plain_; }

  /// Runs bash `command` in both trees and compares its exit status, its standard output, and both sides afterwards.
  /// The command must succeed; `no <command>` is one that must fail. Adds test failures that name the step.
  void step(const std::string& command);
  /// Compares without a command; `after` names the moment.
  void compare(const std::string& after);

  /// Runs a command on one side; standard output, paths of the side replaced by "<side>".
  SubprocessOutput run_on(const Side& side, const std::string& command) const;

  ArtifactfsRunner artifactfs_;

 private:
  std::string state_of(const Side& side) const;

  static std::unique_ptr<TemporaryDirectory> served_;
  Environment environment_;
  Side mount_, plain_;
  int64_t steps_ = 0;
};

}  // namespace artifactfs::test
