// MountedTree: one mount that is up, i.e. its store, workdir, kernel session and background work, wired together.
//
// Owned by the MountTable (shared, so that a status question and an unmount may overlap). Its parts are thread-safe;
// `record` does not change once the tree is up.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/subprocess.h"
#include "daemon/control_protocol.h"
#include "daemon/mount_record.h"
#include "daemon/rooms.h"
#include "daemon/store_table.h"
#include "fetch/protocol.h"

namespace artifactfs {

/// What is to be mounted, with everything decided that needs no network.
struct MountPlan {
  std::filesystem::path workspace;  // mounts/<mount-id>
  MountRecord record;               // the commit is null until it is known
  bool is_new = true;               // false: a kept workspace is resumed
  RemoteUrl remote;
  TransportContext context;
  UserIds owner;
};

/// Decides how `request` is to be served: resumes the workspace that `directory` has, and refuses another remote or ref
/// than it was made with. Touches the state directory only.
Result<MountPlan> plan_mount(const control::MountRequest& request, const std::filesystem::path& mounts,
                             const Rooms& rooms);
/// The plan that brings back a workspace after the daemon's end, with the daemon's own environment.
Result<MountPlan> plan_recovery(const std::string& mount_id, const MountRecord& record,
                                const std::filesystem::path& mounts);

class MountedTree {
 public:
  /// Store, snapshot, workspace, kernel mount, background work. On failure nothing is left behind: neither the mount,
  /// nor a workspace nor a store that did not exist before. `on_end` as in FuseSession::mount.
  static Result<std::shared_ptr<MountedTree>> bring_up(const MountPlan& plan, StoreTable& stores, const Rooms& rooms,
                                                       const ProgressFunction& progress, Cancellation& cancellation,
                                                       std::function<void()> on_end);

  control::MountStatus status(const std::string& mount_id) const;
  Result<void> unmount(bool lazy) { return session_->unmount(lazy); }
  Result<std::vector<std::string>> unsaved_work() { return workdir_->unsaved_work(); }
  /// Answers everything that waits for the network with an error.
  void stop_network() { store_->shutdown(); }
  const MountRecord& record() const { return record_; }

 private:
  Result<void> build(const MountPlan& plan, StoreTable& stores, const Rooms& rooms, const ProgressFunction& progress,
                     Cancellation& cancellation, std::function<void()> on_end);

  MountRecord record_;
  // Destroyed from the bottom up: each uses those above it.
  std::shared_ptr<Store> store_;
  std::unique_ptr<Workdir> workdir_;
  std::unique_ptr<GitServices> git_;
  std::unique_ptr<FuseSession> session_;
  std::shared_ptr<void> background_;
};

/// Workdir::unsaved_work() of a workspace that is not mounted. No network.
Result<std::vector<std::string>> unsaved_work_of(const MountPlan& plan, StoreTable& stores, const Rooms& rooms);

}  // namespace artifactfs
