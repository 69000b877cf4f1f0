// TemporaryDirectory: a fresh directory under $TMPDIR (or /tmp), removed with all it holds when its owner goes away.
// Removal never crosses into another filesystem: a mount that a failed test left inside is left alone, and named on
// stderr, rather than emptied through.
#pragma once

#include <filesystem>
#include <string_view>

namespace artifactfs::test {

/// Neither copyable nor movable; not thread-safe.
class TemporaryDirectory {
 public:
  /// Throws std::runtime_error when the directory cannot be made.
  explicit TemporaryDirectory(std::string_view prefix = "artifactfs-test");
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace artifactfs::test
