// Interrupts: whose wait ends when the kernel says FUSE_INTERRUPT.
//
// Any signal makes the kernel send one INTERRUPT for the request its caller waits in, and never a second. Most are
// none of our business: git's progress timer, Go's SIGURG; an EINTR out of lstat breaks those programs. So a reply is
// abandoned (EINTR) only when its caller is dying. One that is not is looked at again every 20 ms, because the SIGKILL
// that may follow is not told to us.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "fuse/reply.h"

namespace artifactfs {

/// True when the thread described by this text of /proc/<tid>/status (proc(5): State, SigPnd, ShdPnd, SigBlk, SigIgn,
/// SigCgt) will never return to its program: SIGKILL is pending, or a signal that is not blocked, caught or ignored and
/// whose default action ends the process; or it is dead already.
bool status_says_dying(std::string_view status);

/// The same of a living thread, by its id (FUSE's pid is a thread's). True also for one that is gone, and for one
/// nothing can be learned about (0: another pid namespace; hidden by hidepid): its user must be able to get away.
bool thread_is_dying(pid_t thread);

/// Owns the thread that looks. Thread-safe.
class InterruptWatcher {
 public:
  explicit InterruptWatcher(ParkedReplies& replies);
  /// Joins.
  ~InterruptWatcher();
  InterruptWatcher(const InterruptWatcher&) = delete;
  InterruptWatcher& operator=(const InterruptWatcher&) = delete;

  /// Takes note that the parked reply `id` was interrupted. Never waits.
  void watch(uint64_t id) EXCLUDES(mutex_);

 private:
  void run() EXCLUDES(mutex_);
  /// Ends the waits of the dying; keeps in `watched` those that go on.
  void look(std::vector<uint64_t>& watched);

  ParkedReplies& replies_;
  Mutex mutex_;
  CondVar news_;
  std::vector<uint64_t> noted_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace artifactfs
