// The directory a tree is to be mounted on: is it fit, and freeing it of what a dead daemon left there.
#pragma once

#include <filesystem>

#include "base/error.h"

namespace artifactfs {

/// Requires an empty directory that is neither a mount point nor inside an artifactfs mount nor inside the state
/// directory. `directory` must be absolute, normalized and free of symbolic links (refused otherwise: what lies behind
/// one cannot be compared with the list of mounts). Never looks into an artifactfs mount.
Result<void> check_mount_target(const std::filesystem::path& directory, const std::filesystem::path& state_root);

/// Refuses a repository inside an artifactfs mount: the daemon would read itself (rule 6). By its path's text.
Result<void> check_local_remote(const std::filesystem::path& repository);

/// Detaches an artifactfs mount at `directory` whose server is dead ("Transport endpoint is not connected"); does
/// nothing if there is none. Must not be called for a mount that this process serves.
Result<void> detach_stale_mount(const std::filesystem::path& directory);

}  // namespace artifactfs
