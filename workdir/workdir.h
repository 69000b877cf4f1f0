// Workdir: one mount's working tree and gitdir (mounts/<mount-id>/), as a Filesystem.
//
// Shows an immutable base tree (a Snapshot), changed by the overlay unless it is read-only, with a synthesized ".git"
// gitfile at its root. Owned by the daemon's mount
// table; must outlive the FuseSession that serves it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/subprocess.h"
#include "workdir/changed_paths.h"
#include "workdir/filesystem.h"
#include "workdir/store.h"

namespace artifactfs {

struct WorkdirOptions {
  std::filesystem::path directory;    // mounts/<mount-id>
  std::filesystem::path mount_point;  // where the tree will be seen
  UserIds owner;                      // of files and gitdir
  Duration fetch_timeout = std::chrono::seconds(60);
  bool prefetch = true;
  bool read_only = false;  // true: no overlay; what it would show is not shown
};

struct WorkdirStatus {
  std::string phase;  // "ready", "hydrating", "complete", "offline"
  ObjectId commit;
  std::string branch;
  uint64_t files = 0;  // entries of the base tree
  uint64_t blocked_readers = 0;
};

class Workdir : public Filesystem {
 public:
  /// Makes (or, when it exists, resumes) the workdir: gitdir, refs, configuration. The caller keeps `store` alive.
  static Result<std::unique_ptr<Workdir>> open(std::shared_ptr<Store> store, const Snapshot& snapshot,
                                               const WorkdirOptions& options);
  virtual WorkdirStatus status() = 0;
  /// All refs of the remote and the shallow commits, once their objects are local: written to the gitdir. Called by
  /// what Store::start_background() started, on its thread.
  virtual void add_refs(const std::vector<RefRow>& refs, const std::vector<ObjectId>& shallow) = 0;
  virtual std::filesystem::path git_directory() const = 0;
  /// Empty when everything the user did is on the server; else what is not, e.g. "2 commits on 'main' are not pushed".
  /// Reads the overlay and the gitdir (the latter with git), never the mount, and nothing over the network. Blocks.
  virtual Result<std::vector<std::string>> unsaved_work() = 0;

  /// Paths whose content, kind or existence changed since `token` was handed out (by this function; an empty or unknown
  /// token is answered with everything). For git's fsmonitor: what was acknowledged before the call is in the answer.
  virtual Result<ChangedPaths> changes_since(std::string_view token) = 0;
};

}  // namespace artifactfs
