#include "fuse/reply.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <utility>

#include "base/log.h"
#include "fuse/errno_table.h"

namespace artifactfs {

namespace {
constexpr blksize_t kBlockBytes = 4096;  // st_blksize, as ext4 has it
constexpr uint64_t kGeneration = 1;      // inode numbers are never used again
}  // namespace

PendingReply::PendingReply(fuse_req_t request, std::shared_ptr<ParkedReplies> table)
    : table_(std::move(table)), request_(request) {
  ++table_->unanswered_;
}

PendingReply::~PendingReply() {
  answer_once([](fuse_req_t request) { fuse_reply_err(request, EIO); });
}

template <typename Send>
void PendingReply::answer_once(Send&& send) {
  fuse_req_t request;
  uint64_t id;
  {
    MutexLock lock(mutex_);
    request = std::exchange(request_, nullptr);
    id = std::exchange(parked_id_, 0);
  }
  if (request == nullptr) return;
  if (id != 0) table_->forget(id);
  send(request);
  table_->answered();
}

void ParkedReplies::park(const std::shared_ptr<PendingReply>& pending, Ticket ticket,
                         fuse_interrupt_func_t on_interrupt) {
  bool closed;
  {
    MutexLock pending_lock(pending->mutex_);
    if (pending->request_ == nullptr) return;
    uint64_t id = 0;
    {
      MutexLock lock(mutex_);
      closed = closed_;
      if (!closed) {
        id = next_id_++;
        parked_.emplace(id, Parked{pending, ticket, fuse_req_ctx(pending->request_)->pid});
      }
    }
    if (!closed) {
      pending->parked_id_ = id;
      // Calls back at once when the INTERRUPT was quicker than we are.
      // NOLINTNEXTLINE(performance-no-int-to-ptr): libfuse hands it back, nobody follows it
      fuse_req_interrupt_func(pending->request_, on_interrupt, reinterpret_cast<void*>(id));
    }
  }
  if (closed) abandon(Parked{pending, std::move(ticket)}, EIO);
}

std::optional<pid_t> ParkedReplies::waiting_thread(uint64_t id) const {
  MutexLock lock(mutex_);
  const auto found = parked_.find(id);
  if (found == parked_.end()) return std::nullopt;
  return found->second.thread;
}

void ParkedReplies::abandon(uint64_t id, int errnum) {
  Parked parked;
  {
    MutexLock lock(mutex_);
    const auto found = parked_.find(id);
    if (found == parked_.end()) return;
    parked = found->second;
  }
  abandon(std::move(parked), errnum);
}

void ParkedReplies::abandon(Parked parked, int errnum) {
  // Answered here and not by the completion, so that nobody's end depends on how quick a cancellation is.
  parked.pending->answer_once([errnum](fuse_req_t request) { fuse_reply_err(request, errnum); });
  parked.pending.reset();
  if (parked.ticket) parked.ticket->cancel();
}

void ParkedReplies::close() {
  std::unordered_map<uint64_t, Parked> all;
  {
    MutexLock lock(mutex_);
    closed_ = true;
    all = parked_;
  }
  for (auto& [id, parked] : all) abandon(std::move(parked), EIO);
}

void ParkedReplies::wait_until_idle() {
  MutexLock lock(mutex_);
  while (unanswered_ != 0) idle_.wait(lock);
}

void ParkedReplies::answered() {
  if (--unanswered_ != 0 || !closed_) return;
  MutexLock lock(mutex_);
  idle_.notify_all();
}

size_t ParkedReplies::size() const {
  MutexLock lock(mutex_);
  return parked_.size();
}

void ParkedReplies::forget(uint64_t id) {
  Parked parked;  // destroyed after the lock is released: the ticket's end is the Filesystem's code
  MutexLock lock(mutex_);
  const auto found = parked_.find(id);
  if (found == parked_.end()) return;
  parked = std::move(found->second);
  parked_.erase(found);
}

Reply::Reply(Reply&& other) noexcept
    : request_(std::exchange(other.request_, nullptr)), pending_(std::move(other.pending_)) {}

Reply::~Reply() { errnum(EIO); }

template <typename Send>
void Reply::answer(Send&& send) {
  if (fuse_req_t request = std::exchange(request_, nullptr)) send(request);
  if (const auto pending = std::exchange(pending_, nullptr)) pending->answer_once(send);
}

void Reply::errnum(int errnum) {
  answer([&](fuse_req_t request) { fuse_reply_err(request, errnum); });
}

void Reply::error(const Error& error) {
  const int errnum = to_errno(error.code);
  answer([&](fuse_req_t request) {
    if (errnum == EIO) log::error("a program in the mount got an I/O error: {}", error.text());
    fuse_reply_err(request, errnum);
  });
}

void Reply::attributes(const Attributes& attributes) {
  const struct stat stat = to_stat(attributes);
  answer([&](fuse_req_t request) { fuse_reply_attr(request, &stat, attributes.size_known ? kForever : 0); });
}

void Reply::entry(const Attributes& attributes) {
  const fuse_entry_param entry = to_entry(attributes);
  answer([&](fuse_req_t request) { fuse_reply_entry(request, &entry); });
}

void Reply::opened(fuse_file_info info) {
  info.keep_cache = 1;
  answer([&](fuse_req_t request) { fuse_reply_open(request, &info); });
}

void Reply::no_entry() {
  fuse_entry_param entry{};
  entry.entry_timeout = kForever;
  answer([&](fuse_req_t request) { fuse_reply_entry(request, &entry); });
}

void Reply::link_target(const std::string& target) {
  answer([&](fuse_req_t request) { fuse_reply_readlink(request, target.c_str()); });
}

void Reply::data(std::span<const std::byte> bytes) {
  answer(
      [&](fuse_req_t request) { fuse_reply_buf(request, reinterpret_cast<const char*>(bytes.data()), bytes.size()); });
}

void Reply::attribute_value(std::span<const char> value, size_t room) {
  answer([&](fuse_req_t request) {
    if (room == 0) {
      fuse_reply_xattr(request, value.size());
    } else if (value.size() > room) {
      fuse_reply_err(request, ERANGE);
    } else {
      fuse_reply_buf(request, value.data(), value.size());
    }
  });
}

void Reply::statistics(const FilesystemStats& stats) {
  struct statvfs result {};
  result.f_bsize = stats.block_bytes;
  result.f_frsize = stats.block_bytes;
  result.f_blocks = stats.blocks;
  result.f_bfree = stats.blocks_free;
  result.f_bavail = stats.blocks_available;
  result.f_files = stats.files;
  result.f_ffree = stats.files_free;
  result.f_favail = stats.files_free;
  result.f_namemax = stats.name_max_bytes;
  answer([&](fuse_req_t request) { fuse_reply_statfs(request, &result); });
}

void Reply::written(size_t size) {
  answer([&](fuse_req_t request) { fuse_reply_write(request, size); });
}

void Reply::position(uint64_t offset) {
  answer([&](fuse_req_t request) { fuse_reply_lseek(request, static_cast<off_t>(offset)); });
}

void Reply::nothing() {
  answer([](fuse_req_t request) { fuse_reply_none(request); });
}

struct stat to_stat(const Attributes& attributes) {
  struct stat stat {};
  stat.st_ino = attributes.inode;
  stat.st_mode = attributes.mode;
  stat.st_nlink = attributes.links;
  stat.st_uid = attributes.uid;
  stat.st_gid = attributes.gid;
  stat.st_rdev = attributes.device;
  stat.st_size = static_cast<off_t>(attributes.size_bytes);
  stat.st_blocks = static_cast<blkcnt_t>(attributes.blocks);
  stat.st_blksize = kBlockBytes;
  const auto to_timespec = [](const Timestamp& time) {
    return timespec{.tv_sec = time.seconds, .tv_nsec = static_cast<long>(time.nanoseconds)};
  };
  stat.st_atim = to_timespec(attributes.atime);
  stat.st_mtim = to_timespec(attributes.mtime);
  stat.st_ctim = to_timespec(attributes.ctime);
  return stat;
}

fuse_entry_param to_entry(const Attributes& attributes) {
  fuse_entry_param entry{};
  entry.ino = attributes.inode;
  entry.generation = kGeneration;
  entry.attr = to_stat(attributes);
  entry.entry_timeout = kForever;
  entry.attr_timeout = attributes.size_known ? kForever : 0;
  return entry;
}

}  // namespace artifactfs
