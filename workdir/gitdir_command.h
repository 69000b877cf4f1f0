// run_in_gitdir: git on a gitdir named explicitly, without a working tree: as the gitdir's owner, with an environment
// and configuration that let it neither fetch, nor run anything of the user's, nor change what it reads.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/subprocess.h"

namespace artifactfs {

struct GitdirCommand {
  std::filesystem::path git_directory;
  UserIds owner;
  std::vector<std::string> arguments;
  std::filesystem::path work_tree;  // empty: none; never one inside a mount
  std::string_view input;
};

/// As run_subprocess; an exit status other than 0 is the caller's to judge.
Result<SubprocessOutput> run_in_gitdir(const GitdirCommand& command);

}  // namespace artifactfs
