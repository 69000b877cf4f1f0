// CopyUps: gives a base file data of its own before it is changed for the first time.
//
//   absent --ensure()--> sized --> [piece read, written to upper/<inode>.tmp]* --> fdatasync, rename --> row committed
//
// One job an inode: who wants to change a file that is being copied waits in its queue and continues, in order of
// arrival, when the row has been committed. Contents come through ObjectStore::read in pieces and are written by the
// pool, so a file of any size passes in bounded memory and no session thread waits. When nothing of the old content is
// wanted (truncation to 0), the new empty file is made at once, nothing is fetched and no size is asked for.
//
// Thread-safe; no lock is held across I/O or while a waiter continues.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "base/worker_pool.h"
#include "workdir/base_files.h"
#include "workdir/overlay_tree.h"
#include "workdir/upper_files.h"

namespace artifactfs {

class CopyUps {
 public:
  static constexpr uint64_t kPieceBytes = uint64_t{1} << 20;

  /// All references must outlive this.
  CopyUps(BaseFiles& base, OverlayTree& tree, UpperFiles& upper, WorkerPool& pool)
      : base_(base), tree_(tree), upper_(upper), pool_(pool) {}
  /// Gives up what is being fetched and waits for the rest; waiters get ErrorCode::interrupted.
  ~CopyUps();

  /// Calls `then` when the regular file `inode` has data of its own. Of the old content only the first `wanted_bytes`
  /// need be there. Cancelling a waiter does not stop the copy.
  [[nodiscard]] Ticket ensure(InodeNumber inode, uint64_t wanted_bytes, Completion<void> then) EXCLUDES(mutex_);

 private:
  class Waiter;
  struct Job;
  using JobPointer = std::shared_ptr<Job>;

  void start(const JobPointer& job);
  Result<void> make_empty(const Job& job);
  void take_size(const JobPointer& job, Result<uint64_t> size_bytes);
  void read_next(const JobPointer& job);
  void take_piece(const JobPointer& job, Result<ReadData> data);
  Result<void> publish(Job& job);
  void finish(const JobPointer& job, Result<void> result) EXCLUDES(mutex_);
  /// Remembers what the job waits for now, unless it has gone on already.
  void wait_on(const JobPointer& job, uint64_t step, Ticket ticket) EXCLUDES(mutex_);

  BaseFiles& base_;
  OverlayTree& tree_;
  UpperFiles& upper_;
  WorkerPool& pool_;

  Mutex mutex_;
  CondVar ended_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::unordered_map<InodeNumber, JobPointer> jobs_ GUARDED_BY(mutex_);
};

}  // namespace artifactfs
