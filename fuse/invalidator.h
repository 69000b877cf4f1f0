// Invalidator: tells the kernel to forget. On a thread of its own, holding no lock, because the kernel may wait there
// for a page or directory that somebody's unanswered request holds.
#pragma once

#include <deque>
#include <string>
#include <thread>

#include "base/mutex.h"
#include "fuse/lowlevel.h"
#include "workdir/filesystem.h"

namespace artifactfs {

/// Thread-safe.
class Invalidator {
 public:
  /// What may wait; a caller beyond it is held until there is room. Losing one would show old content for ever.
  static constexpr size_t kMaxQueued = size_t{1} << 20;

  explicit Invalidator(fuse_session* session);
  /// Drops what is queued and joins. The session's requests must still be answered (or its connection be gone).
  ~Invalidator();
  Invalidator(const Invalidator&) = delete;
  Invalidator& operator=(const Invalidator&) = delete;

  /// Attributes and all pages.
  void inode(InodeNumber inode);
  /// The name, known or known to be absent.
  void entry(InodeNumber parent, std::string name);

 private:
  struct Item {
    InodeNumber inode = 0;
    std::string name;  // empty: the inode itself
  };
  void submit(Item item) EXCLUDES(mutex_);
  void run() EXCLUDES(mutex_);
  void tell(const Item& item);

  fuse_session* const session_;
  Mutex mutex_;
  CondVar work_;
  CondVar room_;
  std::deque<Item> queue_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace artifactfs
