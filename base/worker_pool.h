// WorkerPool: a fixed number of threads that run short jobs in order of arrival. Jobs must not block on the network.
// Thread-safe. The destructor runs what is queued, then joins.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace artifactfs {

class WorkerPool {
 public:
  using Job = std::move_only_function<void()>;

  /// `name` (at most 15 characters) is what `ps -L` shows.
  WorkerPool(const std::string& name, size_t threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  void submit(Job job) EXCLUDES(mutex_);

 private:
  void run();

  Mutex mutex_;
  CondVar work_;
  std::deque<Job> jobs_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

/// Names the calling thread (truncated to 15 characters).
void set_thread_name(const std::string& name);

}  // namespace artifactfs
