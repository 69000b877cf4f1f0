// MountTable: all mounts of a daemon and all workspaces of its state directory.
//
// Thread-safe. Calls may block (on the network while mounting, on git while removing) and belong to threads of the
// control API. Calls for one directory exclude each other: a directory is claimed by a transitional state, and whoever
// finds it claimed is told so instead of waiting (but an unmount, which is soon over, and a recovery, which nobody
// asked for, are waited for).
//
//   (none) -> mounting -> mounted -> unmounting -> (none; the workspace stays on disk)
//             mounting -> (none), or -> failed when it was to be brought back after the daemon's end
//   failed -> mounting | removing | (none)
//   (none) | failed | mounted -> removing -> (none; the workspace is gone), or when refused -> mounted | (none)
//   mounted -> unmounting also when the kernel ends the session, i.e. somebody ran umount
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/worker_pool.h"
#include "daemon/control_protocol.h"
#include "daemon/mounted_tree.h"
#include "daemon/state_directory.h"
#include "daemon/store_table.h"

namespace artifactfs {

class MountTable {
 public:
  /// `on_change` runs on any thread, with no lock held, after mounts came or went. `state` must outlive the table.
  MountTable(const StateDirectory& state, Rooms rooms, std::function<void()> on_change);
  /// shutdown()
  ~MountTable();
  MountTable(const MountTable&) = delete;
  MountTable& operator=(const MountTable&) = delete;

  /// How long a call waits for an unmount of the same directory that is under way.
  static constexpr auto kUnmountWait = std::chrono::seconds(10);

  /// Whether a daemon that starts later shall bring the mount back.
  enum class Recovery { yes, no };

  /// Returns when the tree can be used. Cancelled or failed, it leaves nothing behind.
  Result<control::MountStatus> mount(const control::MountRequest& request, Recovery recovery,
                                     const ProgressFunction& progress, Cancellation& cancellation) EXCLUDES(mutex_);

  /// ErrorCode::busy, naming the holders, while somebody uses it, unless `force`: then it is detached from the tree.
  Result<void> unmount(const std::string& directory, bool force) EXCLUDES(mutex_);

  /// Unmounts and deletes the workspace. ErrorCode::not_empty, naming each, when there is unsaved work and not `force`.
  Result<void> remove(const std::string& directory, bool force) EXCLUDES(mutex_);

  /// Deletes the stores that no workspace refers to.
  Result<control::GcReport> collect_garbage() EXCLUDES(mutex_);

  /// All workspaces, mounted or not, by directory.
  std::vector<control::MountStatus> status() const EXCLUDES(mutex_);

  /// Claims every workspace that was up when the last daemon ended, and brings them back on a thread of its own, from
  /// what is on disk. What fails is logged, shown by status() as "failed", and tried again by the next daemon.
  void start_recovery() EXCLUDES(mutex_);
  bool recovering() const EXCLUDES(mutex_);

  /// Mounts that are up, or coming or going.
  size_t active() const EXCLUDES(mutex_);

  /// Refuses and cancels mounts, ends what waits for the network, unmounts everything (lazily what is busy, saying who
  /// uses it). Workspaces keep their "mounted": a stop is no `unmount`. Idempotent.
  void shutdown() EXCLUDES(mutex_);

 private:
  enum class State { mounting, mounted, unmounting, removing, failed };
  struct Entry {
    State state = State::mounting;
    uint64_t generation = 0;               // tells this mount from an earlier one of the directory
    Cancellation* cancellation = nullptr;  // of the mount under way
    bool kernel_ended = false;             // while mounting: by the time it was up it was gone again
    bool recovered = false;                // brought back, or being so, and nobody has asked for it since
    std::shared_ptr<MountedTree> tree;     // mounted, unmounting; removing if it was mounted
    control::MountStatus shown;            // when there is no tree; without a directory: as kept on disk
  };
  struct Claim {
    uint64_t generation = 0;
    std::shared_ptr<MountedTree> tree;
  };

  Result<Claim> claim(const std::string& directory, State state, control::MountStatus shown, Cancellation* cancellation,
                      bool recovered = false) EXCLUDES(mutex_);
  bool is_being_recovered(const std::string& directory) const REQUIRES(mutex_);
  /// The mount that a recovery has made there, or is making, for whoever asks for it again after the last daemon's end.
  std::optional<control::MountStatus> take_recovered(const std::string& directory, const std::string& store_id,
                                                     const std::string& ref) EXCLUDES(mutex_);
  /// Gives a claim up: the entry is mounted if it has a tree, else gone.
  void settle(const std::string& directory) EXCLUDES(mutex_);
  /// For the holder of a claim.
  void set_tree(const std::string& directory, std::shared_ptr<MountedTree> tree) EXCLUDES(mutex_);
  void drop_tree(const std::string& directory) EXCLUDES(mutex_);
  Result<std::shared_ptr<MountedTree>> bring_up(const MountPlan& plan, uint64_t generation,
                                                const ProgressFunction& progress, Cancellation& cancellation);
  Result<control::MountStatus> mount_claimed(const control::MountRequest& request, uint64_t generation,
                                             Recovery recovery, const ProgressFunction& progress,
                                             Cancellation& cancellation);
  void recover(const std::string& mount_id, const MountRecord& record, uint64_t generation, Cancellation& cancellation);
  void kernel_ended(const std::string& directory, uint64_t generation) EXCLUDES(mutex_);
  Result<void> unmount_kept(const std::string& directory);
  Result<void> unmount_claimed(const std::string& directory, std::shared_ptr<MountedTree> tree, const char* verb,
                               bool force);
  Result<void> remove_claimed(const std::string& directory, std::shared_ptr<MountedTree> tree, bool force);
  Result<void> check_saved(const std::string& directory, MountedTree* tree);
  void stop_tree(MountedTree& tree) const;

  const StateDirectory& state_;
  const Rooms rooms_;
  const std::function<void()> on_change_;
  StoreTable stores_;

  mutable Mutex mutex_;
  CondVar settled_;  // an entry left a transitional state
  std::map<std::string, Entry> entries_ GUARDED_BY(mutex_);
  uint64_t last_generation_ GUARDED_BY(mutex_) = 0;
  size_t recoveries_left_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;

  std::thread recovery_;
  WorkerPool reaper_;  // takes down what the kernel ended: its session's thread cannot join itself
};

}  // namespace artifactfs
