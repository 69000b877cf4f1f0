// What would be lost if a workspace were deleted, as lines for the user. Files in the overlay are unsaved_files.h's,
// commits gitdir.h's unpushed_work; here the gitdir's index, what is in progress, and all of it in one answer.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/subprocess.h"
#include "workdir/unsaved_files.h"

namespace artifactfs {

/// "a rebase is in progress" and the like, and linked worktrees.
std::vector<std::string> work_in_progress(const std::filesystem::path& git_directory);

/// Paths whose index entry differs from `commit` (nullopt: HEAD is unborn). Reads trees and the index only.
Result<UnsavedFiles::Group> staged_changes(const std::filesystem::path& git_directory, const UserIds& owner,
                                           const std::optional<ObjectId>& commit);

/// All of it; `files` is null for a workspace that has no overlay.
Result<std::vector<std::string>> all_unsaved_work(const std::filesystem::path& git_directory, const UserIds& owner,
                                                  const UnsavedFilesSources* files);

}  // namespace artifactfs
