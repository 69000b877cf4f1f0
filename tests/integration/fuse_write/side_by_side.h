// SideBySide: a writable mount on the real kernel and a plain directory, both beginning with the same files. A test
// does the same to both and compares what each says.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "fuse/session.h"
#include "tests/unit/workdir_overlay/overlay_fixture.h"
#include "tests/unit/workdir_overlay/random_operations.h"

namespace artifactfs::test {

/// Collects what a test saw, in order: `<<` evaluates its operands from left to right, `+` does not.
class Text {
 public:
  template <typename T>
  Text& operator<<(const T& more) {
    text_ += more;
    return *this;
  }
  const std::string& string() const { return text_; }

 private:
  std::string text_;
};

/// "ok", the number if it is not 0, or the name of errno.
std::string said(ssize_t result);
/// What stat(2) says apart from times and inode number: kind and mode, links, owner, size, device; with the blocks if
/// wanted (those of untouched files differ from ext4's).
std::string look(const std::string& path, bool with_blocks = true);
std::string look(const struct stat& stat, bool with_blocks = true);
std::string content(const std::string& path);
/// Names in a directory, sorted, without ".", ".." and ".git".
std::string names(const std::string& path);
UniqueFd open_at(const std::string& path, int flags, mode_t mode = 0644);
/// Runs `child` in another process (as `user` if given) and returns what it returned.
std::string in_child(const std::function<std::string()>& child, std::optional<uid_t> user = std::nullopt);
/// Until the clock of file times has moved on.
void next_tick();
/// How a file's mtime and ctime, and its directory's, compare to those before `change`: e.g. "mtime> ctime> parent=".
std::string times_around(const std::string& path, const std::function<void()>& change);

class SideBySide : public ::testing::Test {
 protected:
  explicit SideBySide(const MemoryBase::Files& files = model_base()) : base_(files) {}
  /// Mounts; skips where there is no FUSE.
  void SetUp() override;
  void TearDown() override;
  void mount(bool read_only = false);
  void unmount();

  /// Does `operation` in both roots (given with a slash at the end), in the plain one first.
  void same(const std::function<std::string(const std::string& root)>& operation);

  std::string root() const { return directory_.path() / "mount" / ""; }
  std::string plain() const { return directory_.path() / "plain" / ""; }
  static void skip_unless_root();

  TemporaryDirectory directory_{"artifactfs-write"};
  MemoryBase base_;
  std::unique_ptr<WritableWorkdir> workdir_;
  std::unique_ptr<FuseSession> session_;
};

}  // namespace artifactfs::test
