// MountRecord: mounts/<mount-id>/mount.json, what a mount was asked to be. Written whole or not at all; never holds a
// secret. The id follows from the directory, so a directory has at most one workspace.
//
// Format: one JSON object with the fields below ("version": 1). A newer version is refused.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"
#include "daemon/control_protocol.h"

namespace artifactfs {

struct MountRecord {
  static constexpr int kVersion = 1;

  std::string directory;
  std::string remote;  // without credentials
  std::string store;   // remote id: the directory below stores/. Its hash also tells apart accounts of one remote.
  std::string ref;     // as asked for; empty: HEAD
  // What was resolved at the first mount and stays until `remove`, so that the base never silently changes.
  ObjectId commit;
  std::string branch;
  std::string resolved_ref;
  control::MountOptions options;
  bool mounted = false;  // up, as far as the user knows: a daemon that starts brings it back

  friend bool operator==(const MountRecord&, const MountRecord&) = default;
};

/// The name below mounts/ of the workspace of `directory`: its last component made plain, and a hash of the whole path.
std::string mount_id_of(const std::filesystem::path& directory);

/// nullopt when `workspace` (mounts/<mount-id>) does not exist or is empty. ErrorCode::corrupt when it has content but
/// no readable mount.json: it may hold somebody's work, so nobody may take it for free.
Result<std::optional<MountRecord>> read_mount_record(const std::filesystem::path& workspace);
/// Creates `workspace` if need be.
Result<void> write_mount_record(const std::filesystem::path& workspace, const MountRecord& record);

struct KeptWorkspace {
  std::string mount_id;
  Result<MountRecord> record;
};
/// All below `mounts`, by name; none when the directory does not exist.
std::vector<KeptWorkspace> list_workspaces(const std::filesystem::path& mounts);

/// Deletes a workspace: renamed away first, so that a crash leaves it whole or gone.
Result<void> delete_workspace(const std::filesystem::path& workspace);
/// Ends the deletions that a crash interrupted.
void finish_deletions(const std::filesystem::path& mounts);

/// The workspace as it is shown while it is not mounted.
control::MountStatus unmounted_status(const std::string& mount_id, const Result<MountRecord>& record,
                                      const std::filesystem::path& mounts);

}  // namespace artifactfs
