#include "workdir/copy_ups.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <utility>

namespace artifactfs {

namespace {

struct timespec to_timespec(const Timestamp& time) {
  return {time.seconds, static_cast<long>(time.nanoseconds)};
}

}  // namespace

// Completes once, by the job or by cancel().
class CopyUps::Waiter final : public ParkedOperation {
 public:
  explicit Waiter(Completion<void> then) : then_(std::move(then)) {}
  void complete(Result<void> result) {
    Completion<void> then;
    {
      MutexLock lock(mutex_);
      then = std::exchange(then_, nullptr);
    }
    if (then) then(std::move(result));
  }
  void cancel() noexcept override { complete(fail(ErrorCode::interrupted, "cannot copy a file", "interrupted")); }

 private:
  Mutex mutex_;
  Completion<void> then_ GUARDED_BY(mutex_);
};

struct CopyUps::Job {
  BaseEntry entry;
  uint64_t wanted_bytes = 0;
  Timestamp atime, mtime;
  UniqueFd file;
  uint64_t copied_bytes = 0;
  std::atomic<uint64_t> step = 0;
  // Guarded by CopyUps::mutex_.
  Ticket waits_on;
  std::vector<std::shared_ptr<Waiter>> waiters;
};

CopyUps::~CopyUps() {
  std::vector<Ticket> tickets;
  MutexLock lock(mutex_);
  stopping_ = true;
  for (const auto& [inode, job] : jobs_) {
    if (job->waits_on) tickets.push_back(job->waits_on);
  }
  lock.unlock();
  for (const auto& ticket : tickets) ticket->cancel();
  tickets.clear();
  lock.lock();
  while (!jobs_.empty()) ended_.wait(lock);
}

Ticket CopyUps::ensure(InodeNumber inode, uint64_t wanted_bytes, Completion<void> then) {
  auto view = tree_.find(inode);
  if (view && !view->is_regular()) {
    view = view->is_directory()
               ? fail(ErrorCode::is_directory, "cannot write inode " + std::to_string(inode), "it is a directory")
               : fail(ErrorCode::invalid_argument, "cannot write inode " + std::to_string(inode), "not a file");
  }
  if (view && view->row && view->row->data == DataSource::upper) {
    then({});
    return nullptr;
  }
  if (view && !view->base) {
    if (auto entry = base_.tree().find(inode)) {
      view->base = std::move(*entry);
    } else {
      view = fail(entry.error());
    }
  }
  if (!view) {
    then(fail(view.error()));
    return nullptr;
  }
  auto waiter = std::make_shared<Waiter>(std::move(then));
  auto job = std::make_shared<Job>();
  job->entry = std::move(*view->base);
  job->wanted_bytes = wanted_bytes;
  const Timestamp untouched{base_.options().timestamp, 0};
  job->atime = view->row ? view->row->atime : untouched;
  job->mtime = view->row ? view->row->mtime : untouched;
  {
    MutexLock lock(mutex_);
    const auto [at, is_new] = jobs_.try_emplace(inode, job);
    at->second->waiters.push_back(waiter);
    if (!is_new) return waiter;
  }
  start(job);
  return waiter;
}

void CopyUps::start(const JobPointer& job) {
  // Somebody may have finished between the look at the row and the entry in jobs_.
  const auto view = tree_.find(job->entry.inode);
  if (!view) return finish(job, fail(view.error()));
  if (view->row && view->row->data == DataSource::upper) return finish(job, {});
  if (job->wanted_bytes == 0) return finish(job, make_empty(*job));
  const uint64_t step = ++job->step;
  wait_on(job, step, base_.size(job->entry, [this, job](Result<uint64_t> size_bytes) {
    ++job->step;
    pool_.submit([this, job, size_bytes = std::move(size_bytes)]() mutable { take_size(job, std::move(size_bytes)); });
  }));
}

Result<void> CopyUps::make_empty(const Job& job) {
  // No fsync: if the machine dies now, an empty file is what it must be found as.
  TRY(upper_.create(job.entry.inode));
  auto committed = tree_.set_upper(job.entry.inode);
  if (!committed) (void)upper_.remove(job.entry.inode);
  return committed;
}

void CopyUps::take_size(const JobPointer& job, Result<uint64_t> size_bytes) {
  if (!size_bytes) return finish(job, fail(size_bytes.error()));
  job->wanted_bytes = std::min(job->wanted_bytes, *size_bytes);
  auto file = upper_.create_temporary(job->entry.inode);
  if (!file) return finish(job, fail(file.error()));
  job->file = std::move(*file);
  read_next(job);
}

void CopyUps::read_next(const JobPointer& job) {
  if (job->copied_bytes == job->wanted_bytes) return finish(job, publish(*job));
  const auto piece = static_cast<size_t>(std::min(kPieceBytes, job->wanted_bytes - job->copied_bytes));
  const uint64_t step = ++job->step;
  wait_on(job, step, base_.read(job->entry.oid, job->copied_bytes, piece, [this, job](Result<ReadData> data) {
    ++job->step;
    pool_.submit([this, job, data = std::move(data)]() mutable { take_piece(job, std::move(data)); });
  }));
}

void CopyUps::take_piece(const JobPointer& job, Result<ReadData> data) {
  if (data && data->size == 0) {
    data = fail(ErrorCode::corrupt, "cannot copy blob '" + job->entry.oid.hex() + "'", "it is shorter than its size");
  }
  if (!data) return finish(job, fail(data.error()));
  auto written = pwrite_all(job->file.get(), {data->bytes.get(), data->size}, job->copied_bytes);
  if (!written) return finish(job, std::move(written));
  job->copied_bytes += data->size;
  read_next(job);
}

Result<void> CopyUps::publish(Job& job) {
  const std::string sentence = "cannot copy inode " + std::to_string(job.entry.inode);
  // What the copy is for may fail yet: then the file must not look changed.
  const std::array<struct timespec, 2> times = {to_timespec(job.atime), to_timespec(job.mtime)};
  if (::futimens(job.file.get(), times.data()) != 0) return fail_errno(errno, sentence);
  // On disk before any row can say so, or a power failure would lose what was not even written to.
  if (::fdatasync(job.file.get()) != 0) return fail_errno(errno, sentence);
  job.file.reset();
  TRY(upper_.publish(job.entry.inode));
  auto committed = tree_.set_upper(job.entry.inode);
  if (!committed) (void)upper_.remove(job.entry.inode);
  return committed;
}

void CopyUps::finish(const JobPointer& job, Result<void> result) {
  if (!result && job->copied_bytes + (job->file ? 1 : 0) > 0) upper_.remove_temporary(job->entry.inode);
  std::vector<std::shared_ptr<Waiter>> waiters;
  {
    MutexLock lock(mutex_);
    waiters.swap(job->waiters);
    job->waits_on.reset();
  }
  // Those who come while these continue find the row, or begin anew; the job stays in jobs_ so that the destructor
  // waits for the waiters too.
  for (const auto& waiter : waiters) waiter->complete(result);
  MutexLock lock(mutex_);
  if (!job->waiters.empty()) {
    lock.unlock();
    return finish(job, std::move(result));
  }
  jobs_.erase(job->entry.inode);
  ended_.notify_all();
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): kept alive for the call
void CopyUps::wait_on(const JobPointer& job, uint64_t step, Ticket ticket) {
  MutexLock lock(mutex_);
  if (job->step != step || ticket == nullptr) return;
  job->waits_on = ticket;
  const bool stopping = stopping_;
  lock.unlock();
  if (stopping) ticket->cancel();
}

}  // namespace artifactfs
