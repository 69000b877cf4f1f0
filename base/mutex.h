// Mutex, MutexLock, CondVar: std's, with clang's thread-safety annotations so that `guarded by` is checked in CI
// (https://clang.llvm.org/docs/ThreadSafetyAnalysis.html). Under GCC the annotations vanish.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define ARTIFACTFS_TSA(x) __attribute__((x))
#else
#define ARTIFACTFS_TSA(x)
#endif
#define CAPABILITY(x) ARTIFACTFS_TSA(capability(x))
#define SCOPED_CAPABILITY ARTIFACTFS_TSA(scoped_lockable)
#define GUARDED_BY(x) ARTIFACTFS_TSA(guarded_by(x))
#define REQUIRES(...) ARTIFACTFS_TSA(requires_capability(__VA_ARGS__))
#define ACQUIRE(...) ARTIFACTFS_TSA(acquire_capability(__VA_ARGS__))
#define RELEASE(...) ARTIFACTFS_TSA(release_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) ARTIFACTFS_TSA(try_acquire_capability(__VA_ARGS__))
#define EXCLUDES(...) ARTIFACTFS_TSA(locks_excluded(__VA_ARGS__))
#define RETURN_CAPABILITY(x) ARTIFACTFS_TSA(lock_returned(x))
#define NO_THREAD_SAFETY_ANALYSIS ARTIFACTFS_TSA(no_thread_safety_analysis)

namespace artifactfs {

class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }
  bool try_lock() TRY_ACQUIRE(true) { return mutex_.try_lock(); }

 private:
  friend class CondVar;
  friend class MutexLock;
  std::mutex mutex_;
};

/// Holds a Mutex for a scope; may be released early and taken again.
class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : lock_(mutex.mutex_) {}
  ~MutexLock() RELEASE() {}
  void unlock() RELEASE() { lock_.unlock(); }
  void lock() ACQUIRE() { lock_.lock(); }

 private:
  friend class CondVar;
  std::unique_lock<std::mutex> lock_;
};

/// Waits release the lock and take it again; always wait in a loop over the condition.
class CondVar {
 public:
  void wait(MutexLock& lock) { condition_.wait(lock.lock_); }
  /// False when `deadline` passed.
  bool wait_until(MutexLock& lock, std::chrono::steady_clock::time_point deadline) {
    return condition_.wait_until(lock.lock_, deadline) == std::cv_status::no_timeout;
  }
  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace artifactfs
