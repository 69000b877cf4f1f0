#include "fuse/invalidator.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/worker_pool.h"

namespace artifactfs {

Invalidator::Invalidator(fuse_session* session) : session_(session) {
  thread_ = std::thread([this] {
    set_thread_name("fuse-invalidate");
    run();
  });
}

Invalidator::~Invalidator() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  room_.notify_all();
  thread_.join();
}

void Invalidator::inode(InodeNumber inode) { submit({inode, {}}); }

void Invalidator::entry(InodeNumber parent, std::string name) { submit({parent, std::move(name)}); }

void Invalidator::submit(Item item) {
  {
    MutexLock lock(mutex_);
    while (queue_.size() >= kMaxQueued && !stopping_) room_.wait(lock);
    queue_.push_back(std::move(item));
  }
  work_.notify_one();
}

void Invalidator::run() {
  while (true) {
    Item item;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) work_.wait(lock);
      if (stopping_) return;
      item = std::move(queue_.front());
      queue_.pop_front();
    }
    room_.notify_one();
    tell(item);
  }
}

void Invalidator::tell(const Item& item) {
  const int result = item.name.empty()
                         ? fuse_lowlevel_notify_inval_inode(session_, item.inode, 0, 0)
                         : fuse_lowlevel_notify_inval_entry(session_, item.inode, item.name.data(), item.name.size());
  // ENOENT: the kernel does not know it. ENODEV: nothing is mounted any more.
  if (result == 0 || result == -ENOENT || result == -ENODEV) return;
  const Error error = errno_error(-result, fmt::format("cannot invalidate '{}' of inode {}", item.name, item.inode));
  log::warning("{}; the kernel may show what it had", error.text());
}

}  // namespace artifactfs
