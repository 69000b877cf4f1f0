// Reply: the right, and the duty, to answer one request of the kernel. Move-only; the first answer is sent, a Reply
// destroyed unanswered answers EIO. ParkedReplies: the replies that wait for data.
//
// An operation that may wait makes its Reply from a PendingReply, which the completion and the table share. Whoever
// claims the request first answers it: the completion, the interrupt watcher (EINTR), or the end of the session (EIO).
//
//   open --(completion, on any thread)--> claimed
//   open --(operation returned: park)--> parked --(completion | interrupt | close)--> claimed
//
// Lock order: PendingReply::mutex_, then libfuse's request and session locks or ParkedReplies::mutex_. No lock of ours
// is held while a reply is written to the kernel.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "fuse/lowlevel.h"
#include "workdir/filesystem.h"

namespace artifactfs {

class ParkedReplies;

/// A request that may be answered by somebody else than its operation. Thread-safe.
class PendingReply {
 public:
  PendingReply(fuse_req_t request, std::shared_ptr<ParkedReplies> table);
  ~PendingReply();
  PendingReply(const PendingReply&) = delete;
  PendingReply& operator=(const PendingReply&) = delete;

 private:
  friend class Reply;
  friend class ParkedReplies;
  /// Gives `send` the request if nobody was given it before.
  template <typename Send>
  void answer_once(Send&& send) EXCLUDES(mutex_);

  // A completion may come long after the session's end, so the table lives as long as those who might ask it.
  const std::shared_ptr<ParkedReplies> table_;
  Mutex mutex_;
  fuse_req_t request_ GUARDED_BY(mutex_);
  uint64_t parked_id_ GUARDED_BY(mutex_) = 0;
};

/// Thread-safe. Before libfuse's session is destroyed: close(), then wait_until_idle().
class ParkedReplies {
 public:
  /// Parks a reply whose operation returned without an answer, unless it has been answered since. `on_interrupt` gets
  /// the parked id (as a pointer) on FUSE_INTERRUPT; it runs inside libfuse's locks and may only take note of it.
  /// `ticket` may be null.
  void park(const std::shared_ptr<PendingReply>& pending, Ticket ticket, fuse_interrupt_func_t on_interrupt)
      EXCLUDES(mutex_);
  /// The thread that waits for this reply (0: one of another pid namespace); nothing if it was answered.
  std::optional<pid_t> waiting_thread(uint64_t id) const EXCLUDES(mutex_);
  /// Answers `errnum` and cancels the operation. Nothing happens if it was answered.
  void abandon(uint64_t id, int errnum) EXCLUDES(mutex_);
  /// Abandons everything that is parked, and from now on whatever would be, with EIO.
  void close() EXCLUDES(mutex_);
  /// Returns once every PendingReply has been answered. Only after close(), when no operation can start any more.
  void wait_until_idle() EXCLUDES(mutex_);
  size_t size() const EXCLUDES(mutex_);

 private:
  friend class PendingReply;
  struct Parked {
    std::shared_ptr<PendingReply> pending;
    Ticket ticket;
    pid_t thread = 0;
  };
  static void abandon(Parked parked, int errnum);
  void forget(uint64_t id) EXCLUDES(mutex_);
  void answered() EXCLUDES(mutex_);

  mutable Mutex mutex_;
  CondVar idle_;
  std::unordered_map<uint64_t, Parked> parked_ GUARDED_BY(mutex_);
  uint64_t next_id_ GUARDED_BY(mutex_) = 1;
  std::atomic<bool> closed_ = false;
  std::atomic<size_t> unanswered_ = 0;  // atomic, not guarded: it changes with every read
};

/// Not thread-safe; may be moved between threads.
class Reply {
 public:
  /// For an operation that answers before it returns.
  explicit Reply(fuse_req_t request) : request_(request) {}
  /// For an operation that may park.
  explicit Reply(std::shared_ptr<PendingReply> pending) : pending_(std::move(pending)) {}
  Reply(Reply&& other) noexcept;
  Reply& operator=(Reply&&) = delete;
  ~Reply();

  void error(const Error& error);
  void errnum(int errnum);
  void attributes(const Attributes& attributes);
  void entry(const Attributes& attributes);
  /// "No such name", to be remembered by the kernel.
  void no_entry();
  /// OPEN; pages stay cached.
  void opened(fuse_file_info info);
  void link_target(const std::string& target);
  void data(std::span<const std::byte> bytes);
  /// getxattr and listxattr: the size when `room` is 0, ERANGE when it is too small, else the bytes.
  void attribute_value(std::span<const char> value, size_t room);
  void statistics(const FilesystemStats& stats);
  /// write and copy_file_range: how much was.
  void written(size_t size);
  /// lseek.
  void position(uint64_t offset);
  /// FORGET wants no answer.
  void nothing();

 private:
  template <typename Send>
  void answer(Send&& send);

  fuse_req_t request_ = nullptr;
  std::shared_ptr<PendingReply> pending_;
};

/// The kernel may keep what we tell it until it is invalidated: some thirty years, which no jiffies counter overflows.
inline constexpr double kForever = 1e9;

/// As the kernel wants it, with the inode number in st_ino.
struct stat to_stat(const Attributes& attributes);
fuse_entry_param to_entry(const Attributes& attributes);

}  // namespace artifactfs
