#include "workdir/unsaved_work.h"

#include <unistd.h>

#include <iterator>
#include <string_view>
#include <utility>

#include "workdir/committed_trees.h"
#include "workdir/gitdir.h"
#include "workdir/gitdir_command.h"

namespace artifactfs {

namespace {

constexpr std::string_view kEmptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";  // git knows it without having it

}  // namespace

std::vector<std::string> work_in_progress(const std::filesystem::path& git_directory) {
  // gitrepository-layout(5) and git's wt-status.c, wt_status_get_state().
  static constexpr std::pair<const char*, const char*> kSigns[] = {
      {"MERGE_HEAD", "a merge"},          {"rebase-merge", "a rebase"},
      {"rebase-apply", "a rebase or am"}, {"CHERRY_PICK_HEAD", "a cherry-pick"},
      {"REVERT_HEAD", "a revert"},
  };
  const auto exists = [&](const char* name) { return ::access((git_directory / name).c_str(), F_OK) == 0; };
  std::vector<std::string> lines;
  for (const auto& [name, what] : kSigns) {
    if (exists(name)) lines.push_back(std::string(what) + " is in progress");
  }
  // Between the commits of a longer cherry-pick or revert neither *_HEAD is there.
  if (lines.empty() && exists("sequencer")) lines.emplace_back("a cherry-pick or revert is in progress");
  std::error_code none;
  for (const auto& worktree : std::filesystem::directory_iterator(git_directory / "worktrees", none)) {
    lines.push_back("the linked worktree " + quoted_path(worktree.path().filename().string()) + " needs it");
  }
  return lines;
}

Result<UnsavedFiles::Group> staged_changes(const std::filesystem::path& git_directory, const UserIds& owner,
                                           const std::optional<ObjectId>& commit) {
  TRY_ASSIGN(const auto listed,
             run_in_gitdir({git_directory,
                            owner,
                            {"diff-index", "--cached", "--name-only", "-z", "--ignore-submodules=none",
                             commit ? commit->hex() : std::string(kEmptyTree), "--"},
                            {},
                            {}}));
  if (listed.status != 0) {
    return fail(ErrorCode::io, "cannot compare the index of '" + git_directory.string() + "'", listed.err);
  }
  UnsavedFiles::Group staged;
  for (std::string_view left = listed.out; !left.empty();) {
    const size_t end = std::min(left.find('\0'), left.size());
    staged.add(std::string(left.substr(0, end)));
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  return staged;
}

Result<std::vector<std::string>> all_unsaved_work(const std::filesystem::path& git_directory, const UserIds& owner,
                                                  const UnsavedFilesSources* files) {
  std::vector<std::string> lines = work_in_progress(git_directory);
  TRY_ASSIGN(const auto commit, head_commit(git_directory, owner));
  UnsavedFiles found;
  if (files != nullptr) {
    TRY_ASSIGN(found, find_unsaved_files(*files, commit));
    auto described = describe(found);
    std::move(described.begin(), described.end(), std::back_inserter(lines));
  }
  // Mostly the same paths once more. Without an index nothing is staged (git would take every file for removed).
  if (found.changed.count == 0 && ::access((git_directory / "index").c_str(), F_OK) == 0) {
    TRY_ASSIGN(const auto staged, staged_changes(git_directory, owner, commit));
    if (staged.count != 0) {
      lines.push_back(describe_count(staged.count, "staged change is not committed", "staged changes are not committed",
                                     staged.example));
    }
  }
  TRY_ASSIGN(auto commits, unpushed_work(git_directory, owner));
  std::move(commits.begin(), commits.end(), std::back_inserter(lines));
  return lines;
}

}  // namespace artifactfs
