// ObjectFetcher: which blobs (and sizes of blobs) are fetched when, over which connection, and who is waiting for them.
//
// Single flight: at most one want an oid, however many wait. Lanes: interactive (someone is blocked) > nearby (likely
// to be read next) > background. One connection is always free for interactive wants: bulk batches use at most
// Limits::bulk_connections of the threads, and there is one more. A waiting read lifts a queued want of a lower lane;
// one in flight just gains a waiter. Objects become available one by one, while their batch still streams.
//
// States of a want:
//   (absent) -> queued -> in_flight -> (absent)   stored, or failed for good: waiters are told
//               queued <- in_flight               the batch failed and may be tried again
//   queued -> (absent)                            its last waiter is gone and nobody prefetches it
// A batch whose wants have all lost their waiters (and none is prefetched) is cancelled.
//
// Failure: transient errors are retried with exponential backoff and jitter until each waiter's patience ends; an
// object that the server refuses is isolated by halving its batch; corrupt answers are tried Limits::corrupt_attempts
// times; errors that will not mend (credentials, repository gone) are told to the waiters at once, and bulk work
// pauses.
//
// Threads: made when first needed, at most bulk_connections + 1, plus one for deadlines. Each blocks on the network for
// one batch at a time. All state is guarded by one mutex, which is never held across I/O, a callback, or the sink.
// Completions run on a fetch thread (or the canceller's) with no lock held and must be quick.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/mutex.h"
#include "base/object_id.h"
#include "fetch/object_source.h"

namespace artifactfs {

enum class Lane : uint8_t { interactive, nearby, background };
inline constexpr size_t kLanes = 3;

struct FetcherLimits {
  size_t bulk_connections = 4;
  size_t interactive_batch = 200;  // wants in one request
  size_t bulk_batch = 1000;
  size_t size_batch = 10'000;
  Duration backoff_first = std::chrono::milliseconds(100);
  Duration backoff_max = std::chrono::seconds(5);
  Duration bulk_pause = std::chrono::seconds(30);  // after an error that will not mend by itself
  unsigned corrupt_attempts = 3;
};

struct FetcherStats {
  uint64_t queued = 0;
  uint64_t in_flight = 0;
  uint64_t waiters = 0;
  uint64_t batches = 0;  // requests begun, by now
  uint64_t objects = 0;  // blobs stored, by now
  uint64_t content_bytes = 0;
  std::string last_error;  // empty after a success
};

class ObjectFetcher {
 public:
  using WaiterId = uint64_t;
  /// Gets the blob's size. Called exactly once.
  using Done = std::move_only_function<void(Result<uint64_t>)>;

  ObjectFetcher(ObjectSource& source, BlobSink& sink, const FetcherLimits& limits = {});
  /// shutdown().
  ~ObjectFetcher();
  ObjectFetcher(const ObjectFetcher&) = delete;
  ObjectFetcher& operator=(const ObjectFetcher&) = delete;

  /// Fetches the content; `done` runs when it is in the sink. Fails with ErrorCode::timeout after `patience` without
  /// progress, i.e. without a byte of content of the batch that has the object: a large file may take longer.
  WaiterId fetch(const ObjectId& oid, Lane lane, Duration patience, Done done) EXCLUDES(mutex_);

  /// Learns the size: by the source's sizes() if it has them, else from the content's header. `siblings` are resolved
  /// in the same request (sizes) or in the nearby lane (contents). The size is recorded in the sink before `done` runs.
  WaiterId fetch_size(const ObjectId& oid, std::span<const ObjectId> siblings, Duration patience, Done done)
      EXCLUDES(mutex_);

  /// Wants contents in the nearby lane that nobody waits for (yet).
  void prefetch(std::span<const ObjectId> oids) EXCLUDES(mutex_);

  /// `done` gets ErrorCode::interrupted, unless it has run or is running. Unknown ids are ignored.
  void cancel(WaiterId id) EXCLUDES(mutex_);

  /// Wants contents that nobody waits for, pulled from `next` (up to the given number each time, empty when there are
  /// no more) whenever a bulk connection is free. `next` runs on a fetch thread with no lock held, never twice at once.
  /// Dropping the handle stops the pulling; what has been pulled is still fetched.
  using NextBatch = std::move_only_function<std::vector<ObjectId>(size_t max)>;
  std::shared_ptr<void> add_background(NextBatch next) EXCLUDES(mutex_);

  /// Runs `job` once on a fetch thread, counted as bulk work. It must end soon after its Cancellation is cancelled.
  /// Dropping the handle cancels it.
  using Job = std::move_only_function<void(Cancellation&)>;
  std::shared_ptr<void> run(Job job) EXCLUDES(mutex_);

  /// Fails all waiters with ErrorCode::cancelled, cancels what is in flight and joins the threads. Idempotent.
  void shutdown() EXCLUDES(mutex_);

  FetcherStats stats() const EXCLUDES(mutex_);

 private:
  enum class Kind : uint8_t { content, size };
  struct Batch;
  class BatchSink;

  struct Waiter {
    WaiterId id = 0;
    Duration patience{};
    Deadline deadline;             // moves with progress
    bool header_suffices = false;  // waits for a size only
    Done done;
  };
  struct Want {
    Lane lane = Lane::background;
    Batch* batch = nullptr;  // in flight there; null while queued
    bool prefetch = false;   // wanted whether anyone waits or not
    unsigned attempts = 0;   // corrupt answers so far
    size_t batch_limit = 0;  // 0: none; shrinks while a refused object is being isolated
    std::vector<Waiter> waiters;
  };
  using Wants = std::unordered_map<ObjectId, Want>;
  struct Batch {
    Kind kind = Kind::content;
    bool bulk = false;
    size_t live = 0;  // wants that still have a waiter or are prefetched
    std::vector<ObjectId> oids;
    Cancellation cancellation;
  };
  struct BackgroundSource {
    NextBatch next;
    bool busy = false;  // guarded by mutex_, as all but `dropped`
    std::atomic<bool> dropped{false};
  };
  struct QueuedJob {
    Job job;
    std::shared_ptr<Cancellation> cancellation;
  };
  struct WaiterPlace {
    Kind kind;
    ObjectId oid;
  };

  /// Whether the source has sizes(): not known before it has been asked (on a fetch thread, for it may block).
  enum class SizeSupport : uint8_t { unknown, no, yes };

  Wants& wants(Kind kind) REQUIRES(mutex_) { return wants_[static_cast<size_t>(kind)]; }
  std::deque<ObjectId>& queue(Kind kind, Lane lane) REQUIRES(mutex_) {
    return queues_[static_cast<size_t>(kind)][static_cast<size_t>(lane)];
  }
  void prefetch_nearby(Kind kind, std::span<const ObjectId> oids) REQUIRES(mutex_);
  WaiterId add_waiter(Kind kind, const ObjectId& oid, Lane lane, Duration patience, bool header_suffices, Done done)
      REQUIRES(mutex_);
  void enqueue(Kind kind, const ObjectId& oid, Want& want, Lane lane, bool at_front = false) REQUIRES(mutex_);
  void wake_threads() REQUIRES(mutex_);

  void work() EXCLUDES(mutex_);
  void watch_deadlines() EXCLUDES(mutex_);

  /// The next batch of queued wants for this thread, or null when there is none that may go now.
  Batch* take_batch() REQUIRES(mutex_);
  /// Moves up to `limit` queued wants of that lane into `batch` (made if null).
  Batch* take_queued(Batch* batch, Kind kind, Lane lane, size_t limit) REQUIRES(mutex_);
  Batch* new_batch(Kind kind, bool bulk) REQUIRES(mutex_);
  void join_batch(Batch& batch, const ObjectId& oid, Want& want) REQUIRES(mutex_);
  std::shared_ptr<BackgroundSource> next_background_source() REQUIRES(mutex_);
  /// A batch of those of `oids` that nobody wants yet; null if there are none.
  Batch* prefetch_batch(std::span<const ObjectId> oids) REQUIRES(mutex_);

  void run_batch(Batch& batch) EXCLUDES(mutex_);
  Result<void> fetch_contents(Batch& batch) EXCLUDES(mutex_);
  Result<void> fetch_sizes(Batch& batch) EXCLUDES(mutex_);
  /// Turns wants for sizes that the source cannot tell into wants for contents.
  void sizes_become_contents(std::span<const ObjectId> oids, bool for_ever) EXCLUDES(mutex_);
  void finish_batch(Batch& batch, const Result<void>& outcome) EXCLUDES(mutex_);
  /// What becomes of a want that its batch did not deliver. Moves waiters that are to be told `error` into `failed`.
  void settle_leftover(const Batch& batch, const ObjectId& oid, const Error& error, std::vector<Waiter>& failed)
      REQUIRES(mutex_);
  void note_failure(const Error& error, bool bulk) REQUIRES(mutex_);

  /// Tells everyone who waits for `oid` and forgets the want.
  void complete(Kind kind, const ObjectId& oid, uint64_t size_bytes) EXCLUDES(mutex_);
  /// Content is arriving: whoever waits for something of the batch goes on waiting.
  void note_progress(const Batch& batch) EXCLUDES(mutex_);
  /// The header of `oid` has been parsed: tells those who wait for the size only.
  void header_seen(const ObjectId& oid, uint64_t size_bytes) EXCLUDES(mutex_);
  std::vector<Waiter> forget_want(Kind kind, const ObjectId& oid) REQUIRES(mutex_);
  std::optional<Waiter> take_waiter(WaiterId id) REQUIRES(mutex_);
  void forget_waiter(const Waiter& waiter) REQUIRES(mutex_);
  void abandon_if_unwanted(Kind kind, Wants::iterator it) REQUIRES(mutex_);

  // Constant after construction.
  ObjectSource& source_;
  BlobSink& sink_;
  const FetcherLimits limits_;

  mutable Mutex mutex_;
  CondVar work_available_;
  CondVar deadline_changed_;
  std::array<Wants, 2> wants_ GUARDED_BY(mutex_);
  // Oids in order of arrival. An entry is stale, and skipped, unless its want is queued in that very lane.
  std::array<std::array<std::deque<ObjectId>, kLanes>, 2> queues_ GUARDED_BY(mutex_);
  std::unordered_map<WaiterId, WaiterPlace> waiters_ GUARDED_BY(mutex_);
  std::set<std::pair<Deadline, WaiterId>> deadlines_ GUARDED_BY(mutex_);
  std::list<std::shared_ptr<BackgroundSource>> background_ GUARDED_BY(mutex_);
  std::deque<QueuedJob> jobs_ GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Cancellation>> running_jobs_ GUARDED_BY(mutex_);
  std::list<std::unique_ptr<Batch>> batches_ GUARDED_BY(mutex_);  // in flight
  std::vector<std::thread> threads_ GUARDED_BY(mutex_);
  std::thread deadline_thread_ GUARDED_BY(mutex_);
  WaiterId next_waiter_ GUARDED_BY(mutex_) = 1;
  size_t idle_threads_ GUARDED_BY(mutex_) = 0;
  size_t bulk_in_flight_ GUARDED_BY(mutex_) = 0;
  SizeSupport size_support_ GUARDED_BY(mutex_) = SizeSupport::unknown;
  unsigned failures_ GUARDED_BY(mutex_) = 0;  // in a row
  TimePoint backoff_until_ GUARDED_BY(mutex_){};
  TimePoint bulk_pause_until_ GUARDED_BY(mutex_){};
  bool stopping_ GUARDED_BY(mutex_) = false;
  FetcherStats stats_ GUARDED_BY(mutex_);
};

}  // namespace artifactfs
