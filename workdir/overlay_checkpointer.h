// OverlayCheckpointer: the thread that moves overlay.db's write-ahead log into the database. Inside COMMIT, where
// SQLite would do it by itself, it would fsync under the overlay's lock.
//
// Thread-safe. The destructor joins.
#pragma once

#include <thread>

#include "base/mutex.h"
#include "workdir/overlay_tree.h"

namespace artifactfs {

class OverlayCheckpointer {
 public:
  /// A checkpoint is made after so many commits, or fewer once nothing has been committed for a period.
  static constexpr uint64_t kCommits = 4096;
  static constexpr auto kPeriod = std::chrono::seconds(2);

  /// `tree` must outlive this.
  explicit OverlayCheckpointer(OverlayTree& tree);
  ~OverlayCheckpointer();

 private:
  void run();

  OverlayTree& tree_;
  Mutex mutex_;
  CondVar stop_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace artifactfs
