#include "workdir/overlay_checkpointer.h"

#include "base/log.h"
#include "base/worker_pool.h"

namespace artifactfs {

OverlayCheckpointer::OverlayCheckpointer(OverlayTree& tree) : tree_(tree), thread_([this] { run(); }) {}

OverlayCheckpointer::~OverlayCheckpointer() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
}

void OverlayCheckpointer::run() {
  set_thread_name("overlay-ckpt");
  uint64_t done = 0, seen = 0;
  MutexLock lock(mutex_);
  while (!stopping_) {
    stop_.wait_until(lock, std::chrono::steady_clock::now() + kPeriod);
    if (stopping_) return;
    const uint64_t commits = tree_.db().commits();
    const bool idle = commits == std::exchange(seen, commits);
    if (commits == done || (!idle && commits - done < kCommits)) continue;
    lock.unlock();
    if (auto made = tree_.db().checkpoint(); !made) log::warning("{}", made.error().text());
    tree_.refill_reserve();
    done = commits;
    lock.lock();
  }
}

}  // namespace artifactfs
