// TemporaryDirectory: a mkdtemp directory, removed with all in it at the end of its test.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace artifactfs {

class TemporaryDirectory {
 public:
  TemporaryDirectory() : TemporaryDirectory(std::filesystem::temp_directory_path()) {}
  /// In `parent` if that exists (e.g. /dev/shm, where fsync costs nothing).
  explicit TemporaryDirectory(const std::filesystem::path& parent) {
    const auto in = std::filesystem::is_directory(parent) ? parent : std::filesystem::temp_directory_path();
    std::string name = (in / "artifactfs-cache-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace artifactfs
