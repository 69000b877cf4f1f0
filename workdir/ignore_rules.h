// IgnoreRules: which paths of a working tree git would ignore, without looking at that tree: its .gitignore files are
// copied into a scratch directory, and `git check-ignore` judges there. So the rules are exactly git's: .gitignore
// files, info/exclude and the core.excludesFile of the gitdir's own configuration. The user's global excludes are not
// asked: whose HOME that is is not known any more, and too few rules are the careful side.
//
// Not thread-safe.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/subprocess.h"

namespace artifactfs {

class IgnoreRules {
 public:
  /// A .gitignore larger than this is not copied.
  static constexpr size_t kFileBytes = size_t{1} << 20;

  /// `scratch` is made when it is needed, and removed at the end; what was there is removed. Its parent must be
  /// writable by nobody but this process's user.
  IgnoreRules(std::filesystem::path git_directory, std::filesystem::path scratch, const UserIds& owner);
  ~IgnoreRules();
  IgnoreRules(const IgnoreRules&) = delete;
  IgnoreRules& operator=(const IgnoreRules&) = delete;

  /// The content of `<directory>.gitignore` (`directory` is empty or ends in '/').
  Result<void> add_file(const std::string& directory, std::string_view content);
  /// Of each path whether it is ignored. A path that ends in '/' is a directory. All .gitignore files above must have
  /// been added.
  Result<std::vector<bool>> ignored(std::span<const std::string> paths);

 private:
  Result<void> make_scratch();
  Result<void> make_directory(const std::string& directory);

  const std::filesystem::path git_directory_, scratch_;
  const UserIds owner_;
  bool made_ = false;
};

}  // namespace artifactfs
