// ObjectFetcher against a source that answers only on command and a sink in memory: no network, no timing.
#include "fetch/object_fetcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <future>
#include <map>
#include <set>

#include "base/sha1.h"

namespace artifactfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string content_of(int number) { return "content of blob " + std::to_string(number); }
ObjectId blob(int number) {
  const std::string content = content_of(number);
  return hash_object(ObjectType::blob, std::as_bytes(std::span(content)));
}
constexpr Duration far() { return seconds(30); }

class MemorySink final : public BlobSink {
 public:
  std::optional<uint64_t> find(const ObjectId& oid) override {
    MutexLock lock(mutex_);
    const auto it = blobs_.find(oid);
    return it == blobs_.end() ? std::nullopt : std::optional<uint64_t>(it->second.size());
  }
  Result<std::unique_ptr<Writer>> begin(uint64_t) override { return std::make_unique<MemoryWriter>(*this); }
  Result<size_t> read(const ObjectId&, uint64_t, std::span<std::byte>) override { return size_t{0}; }
  Result<void> record_sizes(std::span<const std::pair<ObjectId, uint64_t>> sizes) override {
    MutexLock lock(mutex_);
    for (const auto& [oid, size] : sizes) sizes_[oid] = size;
    return {};
  }
  bool has_size(const ObjectId& oid) {
    MutexLock lock(mutex_);
    return sizes_.contains(oid);
  }

 private:
  class MemoryWriter final : public Writer {
   public:
    explicit MemoryWriter(MemorySink& sink) : sink_(sink) {}
    Result<void> append(std::span<const std::byte> content) override {
      content_.append(reinterpret_cast<const char*>(content.data()), content.size());
      return {};
    }
    Result<void> commit(const ObjectId& oid) override {
      MutexLock lock(sink_.mutex_);
      sink_.blobs_[oid] = content_;
      return {};
    }

   private:
    MemorySink& sink_;
    std::string content_;
  };
  Mutex mutex_;
  std::map<ObjectId, std::string> blobs_ GUARDED_BY(mutex_);
  std::map<ObjectId, uint64_t> sizes_ GUARDED_BY(mutex_);
};

// Each request waits until the test takes it with next() and answers it.
class CommandedSource final : public ObjectSource {
 public:
  struct Request {
    std::vector<ObjectId> oids;
    bool sizes = false;
    PackSink* sink = nullptr;
    Cancellation* cancellation = nullptr;
    std::promise<Result<void>> outcome;
    std::vector<std::optional<uint64_t>> answers;

    void deliver(int number) const {
      const std::string content = content_of(number);
      ASSERT_TRUE(sink->begin_object(ObjectType::blob, content.size()));
      ASSERT_TRUE(sink->content(std::as_bytes(std::span(content))));
      ASSERT_TRUE(sink->end_object(blob(number), 0, 0));
    }
    void finish(Result<void> result = {}) { outcome.set_value(std::move(result)); }
  };

  explicit CommandedSource(bool has_sizes = false) : has_sizes_(has_sizes) {}

  Result<void> fetch_blobs(std::span<const ObjectId> oids, PackSink& sink, Cancellation& cancellation) override {
    auto request = std::make_shared<Request>();
    request->oids.assign(oids.begin(), oids.end());
    request->sink = &sink;
    request->cancellation = &cancellation;
    return wait_for_test(request);
  }
  Result<bool> has_sizes() override { return has_sizes_; }
  Result<std::vector<std::optional<uint64_t>>> sizes(std::span<const ObjectId> oids,
                                                     Cancellation& cancellation) override {
    auto request = std::make_shared<Request>();
    request->oids.assign(oids.begin(), oids.end());
    request->sizes = true;
    request->cancellation = &cancellation;
    if (auto outcome = wait_for_test(request); !outcome) return fail(outcome.error());
    return request->answers;
  }

  std::shared_ptr<Request> next() {
    MutexLock lock(mutex_);
    while (requests_.empty()) arrived_.wait(lock);
    auto request = requests_.front();
    requests_.pop_front();
    return request;
  }
  size_t waiting() {
    MutexLock lock(mutex_);
    return requests_.size();
  }

 private:
  Result<void> wait_for_test(const std::shared_ptr<Request>& request) {
    auto outcome = request->outcome.get_future();
    {
      MutexLock lock(mutex_);
      requests_.push_back(request);
    }
    arrived_.notify_all();
    while (outcome.wait_for(milliseconds(1)) != std::future_status::ready) {
      if (request->cancellation->cancelled()) return fail(ErrorCode::cancelled, "", "cancelled");
    }
    return outcome.get();
  }
  const bool has_sizes_;
  Mutex mutex_;
  CondVar arrived_;
  std::deque<std::shared_ptr<Request>> requests_ GUARDED_BY(mutex_);
};

using Answer = std::future<Result<uint64_t>>;
std::pair<ObjectFetcher::Done, Answer> answer() {
  auto promise = std::make_shared<std::promise<Result<uint64_t>>>();
  auto future = promise->get_future();
  return {[promise](Result<uint64_t> size) { promise->set_value(std::move(size)); }, std::move(future)};
}

class ObjectFetcherTest : public testing::Test {
 protected:
  Answer fetch(int number, Lane lane = Lane::interactive, Duration patience = far()) {
    auto [done, future] = answer();
    last_id_ = fetcher_.fetch(blob(number), lane, patience, std::move(done));
    return std::move(future);
  }
  Answer fetch_size(int number, std::vector<ObjectId> siblings = {}) {
    auto [done, future] = answer();
    last_id_ = fetcher_.fetch_size(blob(number), siblings, far(), std::move(done));
    return std::move(future);
  }
  // Occupies all threads with one request each, so that what is asked next stays queued.
  std::vector<std::shared_ptr<CommandedSource::Request>> occupy_all() {
    std::vector<std::shared_ptr<CommandedSource::Request>> taken;
    for (int i = 0; i < 5; ++i) {
      occupied_.push_back(fetch(9000 + i));
      taken.push_back(source_.next());
    }
    return taken;
  }

  CommandedSource source_;
  MemorySink sink_;
  FetcherLimits limits_{.backoff_first = milliseconds(1), .backoff_max = milliseconds(5)};
  ObjectFetcher fetcher_{source_, sink_, limits_};
  ObjectFetcher::WaiterId last_id_ = 0;
  std::vector<Answer> occupied_;
};

TEST_F(ObjectFetcherTest, ConcurrentRequestsForOneIdShareOneFetch) {
  auto first = fetch(1);
  auto request = source_.next();
  auto second = fetch(1);
  EXPECT_THAT(request->oids, testing::ElementsAre(blob(1)));
  request->deliver(1);
  EXPECT_EQ(first.get().value(), content_of(1).size());
  EXPECT_EQ(second.get().value(), content_of(1).size());
  request->finish();
  EXPECT_EQ(source_.waiting(), 0U);
}

TEST_F(ObjectFetcherTest, ObjectsBecomeAvailableWhileTheirBatchStillStreams) {
  auto taken = occupy_all();
  auto a = fetch(1), b = fetch(2);
  taken[0]->deliver(9000);
  taken[0]->finish();
  auto batch = source_.next();
  EXPECT_EQ(batch->oids.size(), 2U);
  batch->deliver(2);
  EXPECT_TRUE(b.get());
  EXPECT_EQ(a.wait_for(milliseconds(0)), std::future_status::timeout);
  batch->deliver(1);
  EXPECT_TRUE(a.get());
  batch->finish();
}

TEST_F(ObjectFetcherTest, AConnectionIsAlwaysFreeForInteractiveWants) {
  std::vector<Answer> bulk;
  std::vector<std::shared_ptr<CommandedSource::Request>> requests;
  for (int i = 0; i < 4; ++i) {
    bulk.push_back(fetch(100 + i, Lane::nearby));
    requests.push_back(source_.next());
  }
  bulk.push_back(fetch(104, Lane::nearby));  // queued: bulk may use four
  auto waiting = fetch(1);
  auto request = source_.next();
  EXPECT_THAT(request->oids, testing::ElementsAre(blob(1)));
  request->deliver(1);
  EXPECT_TRUE(waiting.get());
  request->finish();
}

TEST_F(ObjectFetcherTest, AWaitingReadLiftsAQueuedPrefetch) {
  auto taken = occupy_all();
  auto prefetch_a = fetch(1, Lane::background), prefetch_b = fetch(2, Lane::background);
  auto reader = fetch(2, Lane::interactive);
  taken[0]->deliver(9000);
  taken[0]->finish();
  auto next = source_.next();
  EXPECT_THAT(next->oids, testing::ElementsAre(blob(2)));
  next->deliver(2);
  EXPECT_TRUE(reader.get());
  EXPECT_TRUE(prefetch_b.get());
  next->finish();
}

TEST_F(ObjectFetcherTest, TheLastWaiterGoneCancelsTheRequest) {
  auto waiter = fetch(1);
  auto request = source_.next();
  fetcher_.cancel(last_id_);
  EXPECT_EQ(waiter.get().error().code, ErrorCode::interrupted);
  while (!request->cancellation->cancelled()) std::this_thread::yield();
  while (fetcher_.stats().in_flight != 0) std::this_thread::yield();
  EXPECT_EQ(fetcher_.stats().waiters, 0U);
  EXPECT_EQ(fetcher_.stats().queued, 0U);
}

TEST_F(ObjectFetcherTest, AReaderThatComesAfterACancelledRequestIsServed) {
  auto first = fetch(1);
  auto request = source_.next();
  fetcher_.cancel(last_id_);
  auto second = fetch(1);
  auto again = source_.next();
  again->deliver(1);
  EXPECT_TRUE(second.get());
  again->finish();
}

TEST_F(ObjectFetcherTest, AWaiterGetsATimeoutAndTheNextReadTriesAgain) {
  auto waiter = fetch(1, Lane::interactive, milliseconds(20));
  auto request = source_.next();
  EXPECT_EQ(waiter.get().error().code, ErrorCode::timeout);
  auto second = fetch(1);
  auto again = source_.next();
  again->deliver(1);
  EXPECT_TRUE(second.get());
  again->finish();
}

TEST_F(ObjectFetcherTest, ALargeFileMayTakeLongerThanThePatienceAsLongAsItArrives) {
  auto waiter = fetch(1, Lane::interactive, milliseconds(600));
  auto request = source_.next();
  const std::string content = content_of(1);
  ASSERT_TRUE(request->sink->begin_object(ObjectType::blob, content.size()));
  const auto begun = Clock::system().now();
  for (const char& c : content) {  // slowly, but it arrives: 120 ms a byte, 17 bytes
    std::this_thread::sleep_for(milliseconds(120));
    ASSERT_TRUE(request->sink->content(std::as_bytes(std::span(&c, 1))));
  }
  ASSERT_GT(Clock::system().now() - begun, milliseconds(600));
  ASSERT_TRUE(request->sink->end_object(blob(1), 0, 0));
  request->finish();
  EXPECT_TRUE(waiter.get());
}

TEST_F(ObjectFetcherTest, TransientErrorsAreRetriedAndWhatArrivedIsNotAskedAgain) {
  auto taken = occupy_all();
  auto a = fetch(1), b = fetch(2);
  taken[0]->deliver(9000);
  taken[0]->finish();
  auto batch = source_.next();
  batch->deliver(1);
  batch->finish(fail(ErrorCode::unavailable, "", "the connection was cut"));
  auto retry = source_.next();
  EXPECT_THAT(retry->oids, testing::ElementsAre(blob(2)));
  retry->deliver(2);
  retry->finish();
  EXPECT_TRUE(a.get());
  EXPECT_TRUE(b.get());
}

TEST_F(ObjectFetcherTest, ARefusedObjectIsIsolatedByHalving) {
  auto taken = occupy_all();
  std::map<int, Answer> answers;
  for (int i = 1; i <= 8; ++i) answers.emplace(i, fetch(i));
  taken[0]->deliver(9000);
  taken[0]->finish();
  std::set<int> left = {1, 2, 4, 5, 6, 7, 8};
  while (!left.empty() || answers.at(3).wait_for(milliseconds(0)) != std::future_status::ready) {
    auto request = source_.next();
    if (std::ranges::find(request->oids, blob(3)) != request->oids.end()) {
      request->finish(fail(ErrorCode::refused_object, "", "not our ref"));
      if (request->oids.size() == 1) answers.at(3).wait();
      continue;
    }
    for (int i = 1; i <= 8; ++i) {
      if (std::ranges::find(request->oids, blob(i)) == request->oids.end()) continue;
      request->deliver(i);
      left.erase(i);
    }
    request->finish();
  }
  EXPECT_EQ(answers.at(3).get().error().code, ErrorCode::refused_object);
  for (const int i : {1, 2, 4, 5, 6, 7, 8}) EXPECT_TRUE(answers.at(i).get()) << i;
}

TEST_F(ObjectFetcherTest, AnErrorThatWillNotMendIsToldAtOnce) {
  auto waiter = fetch(1);
  source_.next()->finish(fail(ErrorCode::forbidden, "", "403"));
  EXPECT_EQ(waiter.get().error().code, ErrorCode::forbidden);
}

TEST_F(ObjectFetcherTest, CorruptAnswersAreTriedALimitedNumberOfTimes) {
  auto waiter = fetch(1);
  for (unsigned i = 0; i < limits_.corrupt_attempts; ++i) {
    source_.next()->finish(fail(ErrorCode::corrupt, "", "bad checksum"));
  }
  EXPECT_EQ(waiter.get().error().code, ErrorCode::corrupt);
}

TEST_F(ObjectFetcherTest, WithoutSizesOnTheServerTheHeaderAnswersAndTheContentKeepsComing) {
  auto size = fetch_size(1);
  auto request = source_.next();
  ASSERT_FALSE(request->sizes);
  ASSERT_TRUE(request->sink->begin_object(ObjectType::blob, content_of(1).size()));
  EXPECT_EQ(size.get().value(), content_of(1).size());
  EXPECT_TRUE(sink_.has_size(blob(1)));
  EXPECT_FALSE(request->cancellation->cancelled());
  const std::string content = content_of(1);
  ASSERT_TRUE(request->sink->content(std::as_bytes(std::span(content))));
  ASSERT_TRUE(request->sink->end_object(blob(1), 0, 0));
  request->finish();
  while (!sink_.find(blob(1))) std::this_thread::yield();
}

TEST_F(ObjectFetcherTest, BackgroundSourcesAreDrainedAndSkipWhatIsThere) {
  {
    auto direct = fetch(1);
    auto request = source_.next();
    request->deliver(1);
    request->finish();
    EXPECT_TRUE(direct.get());
  }
  int pulls = 0;
  auto handle = fetcher_.add_background([&](size_t) -> std::vector<ObjectId> {
    return ++pulls == 1 ? std::vector{blob(1), blob(2)} : std::vector<ObjectId>{};
  });
  auto request = source_.next();
  EXPECT_THAT(request->oids, testing::ElementsAre(blob(2)));
  request->deliver(2);
  request->finish();
  while (!sink_.find(blob(2))) std::this_thread::yield();
}

TEST_F(ObjectFetcherTest, ShutdownTellsEveryWaiter) {
  auto in_flight = fetch(1);
  auto request = source_.next();
  fetcher_.shutdown();
  EXPECT_EQ(in_flight.get().error().code, ErrorCode::cancelled);
  EXPECT_EQ(fetch(2).get().error().code, ErrorCode::cancelled);
}

TEST(ObjectFetcherSizes, SiblingsAreResolvedInTheSameRequest) {
  CommandedSource source(true);
  MemorySink sink;
  ObjectFetcher fetcher(source, sink);
  auto [done, size] = answer();
  fetcher.fetch_size(blob(1), std::vector{blob(2), blob(3)}, far(), std::move(done));
  auto request = source.next();
  ASSERT_TRUE(request->sizes);
  std::set<ObjectId> asked(request->oids.begin(), request->oids.end());
  for (const auto& oid : request->oids) request->answers.push_back(oid == blob(1) ? 11 : 22);
  request->finish();
  EXPECT_EQ(size.get().value(), 11U);
  while (asked.size() < 3) {  // the siblings may have been queued a moment after the first was taken
    auto rest = source.next();
    asked.insert(rest->oids.begin(), rest->oids.end());
    rest->answers.assign(rest->oids.size(), 22);
    rest->finish();
  }
  while (!sink.has_size(blob(3))) std::this_thread::yield();
}

TEST(ObjectFetcherSizes, AnIdThatTheServerDoesNotKnowIsFetchedInstead) {
  CommandedSource source(true);
  MemorySink sink;
  ObjectFetcher fetcher(source, sink);
  auto [done, size] = answer();
  fetcher.fetch_size(blob(1), {}, far(), std::move(done));
  auto request = source.next();
  request->answers = {std::nullopt};
  request->finish();
  auto content = source.next();
  EXPECT_FALSE(content->sizes);
  content->deliver(1);
  EXPECT_EQ(size.get().value(), content_of(1).size());
  content->finish();
}

}  // namespace
}  // namespace artifactfs
