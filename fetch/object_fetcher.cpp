#include "fetch/object_fetcher.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/log.h"
#include "base/worker_pool.h"

namespace artifactfs {

namespace {

// How often arriving content moves the deadlines of those who wait for it.
constexpr Duration kProgressInterval = std::chrono::milliseconds(100);

// Errors after which the same request may succeed.
bool is_transient(ErrorCode code) {
  return code == ErrorCode::unavailable || code == ErrorCode::timeout || code == ErrorCode::io;
}
// The answer was wrong; a repetition may be right, but not for ever.
bool is_corrupt(ErrorCode code) { return code == ErrorCode::corrupt || code == ErrorCode::protocol; }

Duration with_jitter(Duration duration) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return std::chrono::duration_cast<Duration>(duration * std::uniform_real_distribution<>(0.75, 1.25)(random));
}

std::unexpected<Error> shutting_down() { return fail(ErrorCode::cancelled, "cannot fetch an object", "shutting down"); }

Error fetch_error(const ObjectId& oid, const Error& cause) {
  return Error{cause.code, "cannot fetch '" + oid.hex() + "'", cause.text()};
}

}  // namespace

// Takes the objects of one batch's pack. Runs on the batch's fetch thread.
class ObjectFetcher::BatchSink final : public PackSink {
 public:
  BatchSink(ObjectFetcher& fetcher, const Batch& batch, std::span<const ObjectId> oids)
      : fetcher_(fetcher), batch_(batch) {
    missing_.reserve(oids.size());
    for (const auto& oid : oids) missing_.emplace(oid, true);
  }
  ~BatchSink() override { record(); }

  Result<void> begin_object(ObjectType type, uint64_t size_bytes) override {
    type_ = type;
    size_bytes_ = size_bytes;
    writer_.reset();
    if (type != ObjectType::blob) return {};  // not asked for; passed over
    // The pack does not say whose header this is, unless only one object can still come.
    if (missing_.size() == 1) fetcher_.header_seen(missing_.begin()->first, size_bytes);
    TRY_ASSIGN(writer_, fetcher_.sink_.begin(size_bytes));
    return {};
  }

  Result<void> content(std::span<const std::byte> chunk) override {
    if (const TimePoint now = Clock::system().now(); now >= last_progress_ + kProgressInterval) {
      last_progress_ = now;
      fetcher_.note_progress(batch_);
    }
    if (writer_ == nullptr) return {};
    return writer_->append(chunk);
  }

  Result<void> end_object(const ObjectId& oid, uint64_t, uint32_t) override {
    const auto writer = std::move(writer_);
    if (writer == nullptr || missing_.erase(oid) == 0) return {};
    TRY(writer->commit(oid));
    recordable_.emplace_back(oid, size_bytes_);
    {
      MutexLock lock(fetcher_.mutex_);
      ++fetcher_.stats_.objects;
      fetcher_.stats_.content_bytes += size_bytes_;
      fetcher_.failures_ = 0;
    }
    fetcher_.complete(Kind::content, oid, size_bytes_);
    return {};
  }

  Result<size_t> read_base(const ObjectId& oid, ObjectType, uint64_t offset, std::span<std::byte> into) override {
    return fetcher_.sink_.read(oid, offset, into);
  }

 private:
  void record() {
    if (recordable_.empty()) return;
    if (auto recorded = fetcher_.sink_.record_sizes(recordable_); !recorded) {
      log::warning("{}", recorded.error().text());
    }
  }

  ObjectFetcher& fetcher_;
  const Batch& batch_;
  TimePoint last_progress_{};
  std::unordered_map<ObjectId, bool> missing_;
  std::vector<std::pair<ObjectId, uint64_t>> recordable_;
  std::unique_ptr<BlobSink::Writer> writer_;
  ObjectType type_ = ObjectType::blob;
  uint64_t size_bytes_ = 0;
};

ObjectFetcher::ObjectFetcher(ObjectSource& source, BlobSink& sink, const FetcherLimits& limits)
    : source_(source), sink_(sink), limits_(limits) {}

ObjectFetcher::~ObjectFetcher() { shutdown(); }

// ---- asking

ObjectFetcher::WaiterId ObjectFetcher::fetch(const ObjectId& oid, Lane lane, Duration patience, Done done) {
  {
    MutexLock lock(mutex_);
    if (!stopping_) return add_waiter(Kind::content, oid, lane, patience, false, std::move(done));
  }
  done(shutting_down());
  return 0;
}

ObjectFetcher::WaiterId ObjectFetcher::fetch_size(const ObjectId& oid, std::span<const ObjectId> siblings,
                                                  Duration patience, Done done) {
  {
    MutexLock lock(mutex_);
    if (!stopping_) {
      const Kind kind = size_support_ == SizeSupport::no ? Kind::content : Kind::size;
      const WaiterId id = add_waiter(kind, oid, Lane::interactive, patience, true, std::move(done));
      prefetch_nearby(kind, siblings);
      return id;
    }
  }
  done(shutting_down());
  return 0;
}

void ObjectFetcher::prefetch(std::span<const ObjectId> oids) {
  MutexLock lock(mutex_);
  if (!stopping_) prefetch_nearby(Kind::content, oids);
}

void ObjectFetcher::prefetch_nearby(Kind kind, std::span<const ObjectId> oids) {
  for (const auto& oid : oids) {
    auto [it, is_new] = wants(kind).try_emplace(oid);
    Want& want = it->second;
    want.prefetch = true;
    if (want.batch == nullptr && (is_new || want.lane > Lane::nearby)) enqueue(kind, oid, want, Lane::nearby);
  }
}

ObjectFetcher::WaiterId ObjectFetcher::add_waiter(Kind kind, const ObjectId& oid, Lane lane, Duration patience,
                                                  bool header_suffices, Done done) {
  const Deadline deadline = Clock::system().now() + patience;
  const WaiterId id = next_waiter_++;
  auto [it, is_new] = wants(kind).try_emplace(oid);
  Want& want = it->second;
  const bool was_unwanted = want.waiters.empty() && !want.prefetch;
  if (!is_new && want.batch != nullptr && was_unwanted) ++want.batch->live;
  want.waiters.push_back(Waiter{id, patience, deadline, header_suffices, std::move(done)});
  waiters_.emplace(id, WaiterPlace{kind, oid});
  deadlines_.emplace(deadline, id);
  if (want.batch == nullptr && (is_new || lane < want.lane)) enqueue(kind, oid, want, lane);
  if (!deadline_thread_.joinable() && !stopping_) deadline_thread_ = std::thread([this] { watch_deadlines(); });
  if (deadlines_.begin()->second == id) deadline_changed_.notify_one();
  return id;
}

void ObjectFetcher::enqueue(Kind kind, const ObjectId& oid, Want& want, Lane lane, bool at_front) {
  want.lane = lane;
  want.batch = nullptr;
  auto& lane_queue = queue(kind, lane);
  if (at_front) {
    lane_queue.push_front(oid);
  } else {
    lane_queue.push_back(oid);
  }
  wake_threads();
}

void ObjectFetcher::wake_threads() {
  if (stopping_) return;
  if (idle_threads_ == 0 && threads_.size() < limits_.bulk_connections + 1) {
    threads_.emplace_back([this] { work(); });
  } else {
    work_available_.notify_one();
  }
}

std::shared_ptr<void> ObjectFetcher::add_background(NextBatch next) {
  auto source = std::make_shared<BackgroundSource>();
  source->next = std::move(next);
  MutexLock lock(mutex_);
  background_.push_back(source);
  // One thread for each connection that bulk work may use.
  for (size_t i = 0; i < limits_.bulk_connections; ++i) wake_threads();
  return {nullptr, [source](void*) { source->dropped = true; }};
}

std::shared_ptr<void> ObjectFetcher::run(Job job) {
  auto cancellation = std::make_shared<Cancellation>();
  MutexLock lock(mutex_);
  jobs_.push_back(QueuedJob{std::move(job), cancellation});
  wake_threads();
  return {nullptr, [cancellation](void*) { cancellation->cancel(); }};
}

// ---- waiters that leave

void ObjectFetcher::forget_waiter(const Waiter& waiter) {
  waiters_.erase(waiter.id);
  deadlines_.erase({waiter.deadline, waiter.id});
}

std::optional<ObjectFetcher::Waiter> ObjectFetcher::take_waiter(WaiterId id) {
  const auto place = waiters_.find(id);
  if (place == waiters_.end()) return std::nullopt;
  const auto [kind, oid] = place->second;
  const auto it = wants(kind).find(oid);
  auto& list = it->second.waiters;
  const auto found = std::ranges::find(list, id, &Waiter::id);
  Waiter waiter = std::move(*found);
  list.erase(found);
  forget_waiter(waiter);
  abandon_if_unwanted(kind, it);
  return waiter;
}

void ObjectFetcher::abandon_if_unwanted(Kind kind, Wants::iterator it) {
  Want& want = it->second;
  if (!want.waiters.empty() || want.prefetch) return;
  if (want.batch == nullptr) {
    wants(kind).erase(it);
  } else if (--want.batch->live == 0) {
    want.batch->cancellation.cancel();
  }
}

void ObjectFetcher::cancel(WaiterId id) {
  std::optional<Waiter> waiter;
  {
    MutexLock lock(mutex_);
    waiter = take_waiter(id);
  }
  if (waiter) waiter->done(fail(ErrorCode::interrupted, "cannot wait for an object", "interrupted"));
}

void ObjectFetcher::watch_deadlines() {
  set_thread_name("af-deadlines");
  MutexLock lock(mutex_);
  while (!stopping_) {
    if (deadlines_.empty()) {
      deadline_changed_.wait(lock);
      continue;
    }
    const auto [deadline, id] = *deadlines_.begin();
    if (Clock::system().now() < deadline) {
      deadline_changed_.wait_until(lock, deadline);
      continue;
    }
    const ObjectId oid = waiters_.at(id).oid;
    const std::string last_error = stats_.last_error;
    auto waiter = take_waiter(id);
    lock.unlock();
    waiter->done(fail(ErrorCode::timeout, "cannot fetch '" + oid.hex() + "'",
                      last_error.empty() ? "the server did not answer in time" : "not in time; last: " + last_error));
    lock.lock();
  }
}

// ---- the threads

void ObjectFetcher::work() {
  set_thread_name("af-fetch");
  MutexLock lock(mutex_);
  while (!stopping_) {
    const TimePoint now = Clock::system().now();
    if (now < backoff_until_) {
      work_available_.wait_until(lock, backoff_until_);
      continue;
    }
    if (Batch* batch = take_batch()) {
      lock.unlock();
      run_batch(*batch);
      lock.lock();
      continue;
    }
    const bool bulk_allowed = bulk_in_flight_ < limits_.bulk_connections && now >= bulk_pause_until_;
    if (bulk_allowed && !jobs_.empty()) {
      QueuedJob job = std::move(jobs_.front());
      jobs_.pop_front();
      if (job.cancellation->cancelled()) continue;
      running_jobs_.push_back(job.cancellation);
      ++bulk_in_flight_;
      lock.unlock();
      job.job(*job.cancellation);
      job.job = nullptr;
      lock.lock();
      --bulk_in_flight_;
      std::erase(running_jobs_, job.cancellation);
      continue;
    }
    if (auto source = bulk_allowed ? next_background_source() : nullptr) {
      source->busy = true;
      ++bulk_in_flight_;
      lock.unlock();
      const std::vector<ObjectId> oids = source->next(limits_.bulk_batch);
      lock.lock();
      --bulk_in_flight_;
      source->busy = false;
      if (oids.empty()) background_.remove(source);
      Batch* batch = prefetch_batch(oids);
      work_available_.notify_one();  // the source is free for the next thread
      if (batch == nullptr) continue;
      lock.unlock();
      run_batch(*batch);
      lock.lock();
      continue;
    }
    ++idle_threads_;
    if (now < bulk_pause_until_) {
      work_available_.wait_until(lock, bulk_pause_until_);
    } else {
      work_available_.wait(lock);
    }
    --idle_threads_;
  }
}

ObjectFetcher::Batch* ObjectFetcher::take_batch() {
  if (Batch* sizes = take_queued(nullptr, Kind::size, Lane::interactive, limits_.size_batch)) {
    return take_queued(sizes, Kind::size, Lane::nearby, limits_.size_batch);
  }
  if (Batch* batch = take_queued(nullptr, Kind::content, Lane::interactive, limits_.interactive_batch)) return batch;
  if (bulk_in_flight_ >= limits_.bulk_connections || Clock::system().now() < bulk_pause_until_) return nullptr;
  for (const Lane lane : {Lane::nearby, Lane::background}) {
    if (Batch* batch = take_queued(nullptr, Kind::size, lane, limits_.size_batch)) return batch;
    if (Batch* batch = take_queued(nullptr, Kind::content, lane, limits_.bulk_batch)) return batch;
  }
  return nullptr;
}

ObjectFetcher::Batch* ObjectFetcher::new_batch(Kind kind, bool bulk) {
  auto batch = std::make_unique<Batch>();
  batch->kind = kind;
  batch->bulk = bulk;
  if (bulk) ++bulk_in_flight_;
  batches_.push_back(std::move(batch));
  ++stats_.batches;
  return batches_.back().get();
}

void ObjectFetcher::join_batch(Batch& batch, const ObjectId& oid, Want& want) {
  want.batch = &batch;
  batch.oids.push_back(oid);
  ++batch.live;
}

ObjectFetcher::Batch* ObjectFetcher::take_queued(Batch* batch, Kind kind, Lane lane, size_t limit) {
  auto& lane_queue = queue(kind, lane);
  while (!lane_queue.empty()) {
    const ObjectId oid = lane_queue.front();
    const auto it = wants(kind).find(oid);
    if (it == wants(kind).end() || it->second.batch != nullptr || it->second.lane != lane) {
      lane_queue.pop_front();  // stale
      continue;
    }
    Want& want = it->second;
    if (want.batch_limit != 0) limit = std::min(limit, want.batch_limit);
    if (batch != nullptr && batch->oids.size() >= limit) break;
    lane_queue.pop_front();
    if (batch == nullptr) batch = new_batch(kind, lane != Lane::interactive);
    join_batch(*batch, oid, want);
  }
  return batch;
}

std::shared_ptr<ObjectFetcher::BackgroundSource> ObjectFetcher::next_background_source() {
  background_.remove_if([](const auto& source) { return source->dropped.load() && !source->busy; });
  const auto it = std::ranges::find_if(background_, [](const auto& source) { return !source->busy; });
  if (it == background_.end()) return nullptr;
  auto source = *it;
  background_.splice(background_.end(), background_, it);  // sources take turns: fairness between mounts
  return source;
}

ObjectFetcher::Batch* ObjectFetcher::prefetch_batch(std::span<const ObjectId> oids) {
  Batch* batch = nullptr;
  for (const auto& oid : oids) {
    auto [it, is_new] = wants(Kind::content).try_emplace(oid);
    if (!is_new) continue;  // queued or in flight already
    it->second.prefetch = true;
    if (batch == nullptr) batch = new_batch(Kind::content, true);
    join_batch(*batch, oid, it->second);
  }
  return batch;
}

// ---- one batch

void ObjectFetcher::run_batch(Batch& batch) {
  const Result<void> outcome = batch.kind == Kind::size ? fetch_sizes(batch) : fetch_contents(batch);
  finish_batch(batch, outcome);
}

Result<void> ObjectFetcher::fetch_contents(Batch& batch) {
  // A second look: an object may have been stored between the caller's miss and now.
  std::vector<ObjectId> absent;
  for (const auto& oid : batch.oids) {
    if (const auto size_bytes = sink_.find(oid)) {
      complete(Kind::content, oid, *size_bytes);
    } else {
      absent.push_back(oid);
    }
  }
  if (absent.empty()) return {};
  BatchSink sink(*this, batch, absent);
  return source_.fetch_blobs(absent, sink, batch.cancellation);
}

Result<void> ObjectFetcher::fetch_sizes(Batch& batch) {
  TRY_ASSIGN(const bool supported, source_.has_sizes());
  if (!supported) {
    sizes_become_contents(batch.oids, true);
    return {};
  }
  TRY_ASSIGN(const auto answers, source_.sizes(batch.oids, batch.cancellation));
  std::vector<std::pair<ObjectId, uint64_t>> known;
  std::vector<ObjectId> unknown;
  for (size_t i = 0; i < batch.oids.size(); ++i) {
    if (answers[i]) {
      known.emplace_back(batch.oids[i], *answers[i]);
    } else {
      unknown.push_back(batch.oids[i]);
    }
  }
  TRY(sink_.record_sizes(known));
  for (const auto& [oid, size_bytes] : known) complete(Kind::size, oid, size_bytes);
  sizes_become_contents(unknown, false);
  return {};
}

void ObjectFetcher::sizes_become_contents(std::span<const ObjectId> oids, bool for_ever) {
  MutexLock lock(mutex_);
  size_support_ = for_ever ? SizeSupport::no : SizeSupport::yes;
  for (const auto& oid : oids) {
    const auto it = wants(Kind::size).find(oid);
    if (it == wants(Kind::size).end()) continue;
    Want from = std::move(it->second);
    wants(Kind::size).erase(it);
    auto [to, is_new] = wants(Kind::content).try_emplace(oid);
    Want& want = to->second;
    const bool was_unwanted = want.waiters.empty() && !want.prefetch;
    const bool is_wanted = from.prefetch || !from.waiters.empty();
    if (want.batch != nullptr && was_unwanted && is_wanted) ++want.batch->live;
    want.prefetch |= from.prefetch;
    const Lane lane = from.waiters.empty() ? Lane::nearby : Lane::interactive;
    for (auto& waiter : from.waiters) {
      waiters_.at(waiter.id).kind = Kind::content;
      want.waiters.push_back(std::move(waiter));
    }
    if (want.batch == nullptr && (is_new || lane < want.lane)) enqueue(Kind::content, oid, want, lane);
    abandon_if_unwanted(Kind::content, to);
  }
}

void ObjectFetcher::finish_batch(Batch& batch, const Result<void>& outcome) {
  Error error{ErrorCode::refused_object, "", "the server did not send it"};
  if (!outcome) error = outcome.error();
  std::vector<Waiter> failed;
  std::vector<Error> reasons;
  {
    MutexLock lock(mutex_);
    if (batch.bulk) --bulk_in_flight_;
    if (outcome) {
      failures_ = 0;
      stats_.last_error.clear();
    } else if (!batch.cancellation.cancelled()) {
      note_failure(error, batch.bulk);
    }
    for (const auto& oid : batch.oids) {
      const auto it = wants(batch.kind).find(oid);
      if (it == wants(batch.kind).end() || it->second.batch != &batch) continue;
      settle_leftover(batch, oid, error, failed);
      reasons.resize(failed.size(), fetch_error(oid, error));
    }
    batches_.remove_if([&](const auto& candidate) { return candidate.get() == &batch; });
    work_available_.notify_one();
  }
  for (size_t i = 0; i < failed.size(); ++i) failed[i].done(fail(std::move(reasons[i])));
}

void ObjectFetcher::settle_leftover(const Batch& batch, const ObjectId& oid, const Error& error,
                                    std::vector<Waiter>& failed) {
  const auto it = wants(batch.kind).find(oid);
  Want& want = it->second;
  want.batch = nullptr;
  const bool is_wanted = want.prefetch || !want.waiters.empty();
  const bool retry_later = is_transient(error.code) || (batch.cancellation.cancelled() && !stopping_);
  bool give_up = false;
  if (!is_wanted) {
    give_up = true;
  } else if (retry_later) {
    give_up = false;
  } else if (error.code == ErrorCode::refused_object) {
    // When the server named the one that it refuses, the others are innocent; else find it by halving.
    const bool named = error.cause.find(oid.hex()) != std::string::npos;
    give_up = named || batch.oids.size() == 1;
    if (!give_up) want.batch_limit = std::max<size_t>(1, batch.oids.size() / 2);
  } else if (is_corrupt(error.code)) {
    give_up = ++want.attempts >= limits_.corrupt_attempts;
    want.batch_limit = std::max<size_t>(1, batch.oids.size() / 2);
  } else {
    // It will not mend by itself: whoever waits is told now, and what nobody waits for is tried after the pause.
    auto waiters = std::exchange(want.waiters, {});
    for (auto& waiter : waiters) {
      forget_waiter(waiter);
      failed.push_back(std::move(waiter));
    }
    give_up = !want.prefetch || stopping_;
  }
  if (!give_up) {
    enqueue(batch.kind, oid, want, want.waiters.empty() ? Lane::background : want.lane, true);
    return;
  }
  if (is_wanted && want.waiters.empty() && want.prefetch && !stopping_) {
    log::warning("{}", fetch_error(oid, error).text());
  }
  for (auto& waiter : forget_want(batch.kind, oid)) failed.push_back(std::move(waiter));
}

void ObjectFetcher::note_failure(const Error& error, bool bulk) {
  stats_.last_error = log::redact(error.text());
  if (failures_++ == 0) log::warning("fetching objects failed: {}", error.text());
  const TimePoint now = Clock::system().now();
  if (is_transient(error.code) || is_corrupt(error.code)) {
    Duration backoff = limits_.backoff_first * (1U << std::min(failures_ - 1, 10U));
    backoff_until_ = now + with_jitter(std::min(backoff, limits_.backoff_max));
  } else if (bulk && error.code != ErrorCode::refused_object) {
    bulk_pause_until_ = now + with_jitter(limits_.bulk_pause);
  }
}

// ---- answers

std::vector<ObjectFetcher::Waiter> ObjectFetcher::forget_want(Kind kind, const ObjectId& oid) {
  const auto it = wants(kind).find(oid);
  if (it == wants(kind).end()) return {};
  auto waiters = std::move(it->second.waiters);
  wants(kind).erase(it);
  for (const auto& waiter : waiters) forget_waiter(waiter);
  return waiters;
}

void ObjectFetcher::complete(Kind kind, const ObjectId& oid, uint64_t size_bytes) {
  std::vector<Waiter> waiters;
  {
    MutexLock lock(mutex_);
    waiters = forget_want(kind, oid);
  }
  if (kind == Kind::content && std::ranges::any_of(waiters, &Waiter::header_suffices)) {
    const std::pair<ObjectId, uint64_t> size{oid, size_bytes};
    if (auto recorded = sink_.record_sizes({&size, 1}); !recorded) {
      for (auto& waiter : waiters) waiter.done(fail(recorded.error()));
      return;
    }
  }
  for (auto& waiter : waiters) waiter.done(size_bytes);
}

void ObjectFetcher::note_progress(const Batch& batch) {
  const TimePoint now = Clock::system().now();
  MutexLock lock(mutex_);
  for (const auto& oid : batch.oids) {
    const auto it = wants(batch.kind).find(oid);
    if (it == wants(batch.kind).end() || it->second.batch != &batch) continue;
    for (auto& waiter : it->second.waiters) {
      deadlines_.erase({waiter.deadline, waiter.id});
      waiter.deadline = now + waiter.patience;
      deadlines_.emplace(waiter.deadline, waiter.id);
    }
  }
}

void ObjectFetcher::header_seen(const ObjectId& oid, uint64_t size_bytes) {
  std::vector<Waiter> waiters;
  {
    MutexLock lock(mutex_);
    const auto it = wants(Kind::content).find(oid);
    if (it == wants(Kind::content).end()) return;
    auto& list = it->second.waiters;
    const auto middle = std::partition(list.begin(), list.end(), [](const Waiter& w) { return !w.header_suffices; });
    if (middle == list.end()) return;
    waiters.assign(std::make_move_iterator(middle), std::make_move_iterator(list.end()));
    list.erase(middle, list.end());
    for (const auto& waiter : waiters) forget_waiter(waiter);
    // Whoever asks for the size is about to read: the content, already on its way, is kept coming.
    it->second.prefetch = true;
  }
  const std::pair<ObjectId, uint64_t> size{oid, size_bytes};
  const auto recorded = sink_.record_sizes({&size, 1});
  for (auto& waiter : waiters) {
    if (recorded) {
      waiter.done(size_bytes);
    } else {
      waiter.done(fail(recorded.error()));
    }
  }
}

// ---- the end

void ObjectFetcher::shutdown() {
  std::vector<std::thread> threads;
  std::thread deadline_thread;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    for (auto& batch : batches_) batch->cancellation.cancel();
    for (auto& job : running_jobs_) job->cancel();
    threads.swap(threads_);
    deadline_thread.swap(deadline_thread_);
    work_available_.notify_all();
    deadline_changed_.notify_all();
  }
  for (auto& thread : threads) thread.join();
  if (deadline_thread.joinable()) deadline_thread.join();
  std::vector<Waiter> left;
  std::deque<QueuedJob> jobs;
  std::list<std::shared_ptr<BackgroundSource>> sources;
  {
    MutexLock lock(mutex_);
    for (auto& table : wants_) {
      for (auto& [oid, want] : table) std::ranges::move(want.waiters, std::back_inserter(left));
      table.clear();
    }
    waiters_.clear();
    deadlines_.clear();
    jobs.swap(jobs_);
    sources.swap(background_);
  }
  for (auto& waiter : left) waiter.done(shutting_down());
}

FetcherStats ObjectFetcher::stats() const {
  MutexLock lock(mutex_);
  FetcherStats stats = stats_;
  for (const auto& table : wants_) {
    for (const auto& [oid, want] : table) ++(want.batch == nullptr ? stats.queued : stats.in_flight);
  }
  stats.waiters = waiters_.size();
  return stats;
}

}  // namespace artifactfs
