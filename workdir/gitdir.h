// Gitdir: a workdir's own git repository directory (mounts/<mount-id>/git), laid out as a clone would be and sharing
// the store's objects through objects/info/alternates.
//
// All writes follow git's own protocol (<file>.lock created exclusively, then renamed), so that git processes of the
// user may run at the same time. Order: objects, then shallow, then refs; a ref never names an object that is not
// local.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"
#include "base/subprocess.h"
#include "cache/tree_index.h"

namespace artifactfs {

/// What lies beside the gitdir in the workspace (mounts/<mount-id>) for git's use.
inline constexpr std::string_view kFsmonitorLinkName = "fsmonitor";    // core.fsmonitor: a link to the hook
inline constexpr std::string_view kCredentialLinkName = "credential";  // credential.<remote>.helper: a link to it
inline constexpr std::string_view kProjectedObjectsName = "objects";   // the second alternate: a mount point

struct GitdirSpec {
  std::filesystem::path directory;
  std::filesystem::path store_objects;  // the store's "objects" directory
  std::string remote_url;               // without credentials
  std::string branch;                   // short name; empty: HEAD is detached at `commit`
  ObjectId commit;
  std::string upstream_branch;  // short name on the remote; empty when `branch` has none
  UserIds owner;
};

/// `program` (a path) as a command line for git's configuration: git gives it to a shell when it has special
/// characters.
std::string program_config_value(const std::filesystem::path& program);

/// Makes the gitdir. A half-made one from an earlier crash is made anew (HEAD is written last).
Result<void> create_gitdir(const GitdirSpec& spec, std::span<const RefRow> remote_refs,
                           std::span<const ObjectId> shallow);
/// Whether `directory` holds a gitdir that create_gitdir() finished.
bool is_gitdir(const std::filesystem::path& directory);

/// Adds and updates refs/remotes/origin/* and tags from the remote's refs (`remote_refs`, named as on the remote), and
/// the lines of `shallow`. Refs that the user made or moved since are left alone: only packed-refs is written, a loose
/// ref wins. So is the shallow file when `mounted`, the mounted commit, was in it and no longer is: the user has
/// fetched history (`git fetch --unshallow`), and our lines would hide it again.
Result<void> add_remote_refs(const std::filesystem::path& directory, const UserIds& owner,
                             std::span<const RefRow> remote_refs, std::span<const ObjectId> shallow,
                             const ObjectId& mounted);

/// Each a line for the user: commits, stashes or tags in the gitdir that are on no remote branch. Runs git with the
/// gitdir named explicitly, as `owner`; never touches a working tree and never fetches.
Result<std::vector<std::string>> unpushed_work(const std::filesystem::path& directory, const UserIds& owner);

}  // namespace artifactfs
