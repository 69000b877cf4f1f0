// GitFixture: a temporary repository and the git program in it, untouched by the user's configuration.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/subprocess.h"

namespace artifactfs::testing {

/// A directory that goes away with its owner.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class GitFixture {
 public:
  /// `init_options`: for `git init`, e.g. "--object-format=sha256".
  explicit GitFixture(const std::vector<std::string>& init_options = {});

  /// Runs git in the repository and returns its output, without the last newline unless `raw`; throws when it fails.
  std::string git(std::vector<std::string> arguments, std::string_view input = {}, bool raw = false) const;
  /// Writes a file in the working tree.
  void write(const std::string& name, std::string_view content) const;
  /// Commits everything.
  std::string commit(const std::string& message) const;
  /// Several commits of files that resemble each other, so that packs of them have chains of deltas; a tag as well.
  void fill(int commits) const;

  std::filesystem::path directory() const { return temporary_.path() / "repo"; }
  static Environment environment();

 private:
  TemporaryDirectory temporary_;
};

}  // namespace artifactfs::testing
