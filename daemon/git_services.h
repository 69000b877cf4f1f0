// GitServices: what a mount needs beside its files for stock git to be quick in it: the index, the answers to
// the fsmonitor hook, and the projected object directory (docs/decisions/0003 and 0004).
//
// Owned by the MountedTree; made before the kernel shows the mount (so that git never sees a half-made repository),
// begins to answer the hook once it is mounted. Thread-safe.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "base/error.h"
#include "base/subprocess.h"
#include "fuse/session.h"
#include "workdir/store.h"
#include "workdir/workdir.h"

namespace artifactfs {

struct GitServicesSpec {
  WorkdirOptions workdir;   // workspace, mount point, owner, fetch timeout
  Snapshot snapshot;        // the base
  Environment environment;  // the user's: where git looks for core.excludesFile
  bool is_new = true;       // false: a workspace is resumed, whose index is the user's
};

class GitServices {
 public:
  virtual ~GitServices() = default;

  /// The mount is in the kernel (on the device `device`, from mountinfo): the hook is answered from now on.
  virtual Result<void> mounted(dev_t device) = 0;
  /// All sizes are known: an index that nobody has touched since we wrote it gets them. Blocks on the disk; any thread.
  virtual void fill_in_sizes() = 0;
};

using MountSession = std::function<Result<std::unique_ptr<FuseSession>>(
    const std::filesystem::path& directory, const FuseOptions&, Filesystem&, std::function<void()> on_end)>;

/// `store` and `workdir` must outlive the result. Writes the index of a new workspace and mounts its projected object
/// directory; `mount_session` is FuseSession::mount.
Result<std::unique_ptr<GitServices>> start_git_services(const GitServicesSpec& spec, Store& store, Workdir& workdir,
                                                        const MountSession& mount_session);

}  // namespace artifactfs
