#include "daemon/store_table.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/log.h"

namespace artifactfs {

namespace fs = std::filesystem;

namespace {

uint64_t disk_bytes_below(const fs::path& directory) {
  uint64_t total = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    struct stat st {};
    if (::lstat(it->path().c_str(), &st) == 0) total += static_cast<uint64_t>(st.st_blocks) * 512;
  }
  return total;
}

}  // namespace

StoreTable::StoreTable(fs::path directory, const Rooms& rooms, Duration linger)
    : directory_(std::move(directory)), rooms_(rooms), linger_(linger) {}

StoreTable::~StoreTable() {
  std::thread closer;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    closer = std::move(closer_);
    lingering_changed_.notify_all();
  }
  if (closer.joinable()) closer.join();
}

bool StoreTable::in_use(const std::string& id) const {
  const auto open = open_.find(id);
  return open != open_.end() && !open->second.expired();
}

std::shared_ptr<Store> StoreTable::hand_out(const std::string& id, std::shared_ptr<Opened> opened) {
  Store* const store = opened->store.get();
  opened_[id] = opened;
  std::shared_ptr<Store> handle(
      store, [this, id, kept = std::move(opened)](Store*) mutable { released(id, std::move(kept)); });
  open_[id] = handle;
  return handle;
}

Result<std::shared_ptr<Store>> StoreTable::open(const std::string& id, const RemoteUrl& remote,
                                                const TransportContext& context) {
  std::shared_ptr<Opened> replaced;  // closed after the lock is released
  MutexLock lock(mutex_);
  if (auto store = open_[id].lock()) return store;
  if (const auto found = lingering_.find(id); found != lingering_.end()) {
    auto opened = std::move(found->second.opened);
    lingering_.erase(found);
    // Secrets and configuration come from the caller's environment: another caller gets a store of their own.
    if (opened->context == context) return hand_out(id, std::move(opened));
    replaced = std::move(opened);
  }
  const fs::path directory = directory_ / id;
  std::error_code error;
  const bool is_new = !fs::exists(directory, error);
  auto store = rooms_.open_store(directory, remote, context);
  if (!store) {
    if (is_new) fs::remove_all(directory, error);
    return store;
  }
  if (is_new) unproven_.insert(id);
  return hand_out(id, std::make_shared<Opened>(std::move(*store), context));
}

void StoreTable::released(const std::string& id, std::shared_ptr<Opened> opened) {
  MutexLock lock(mutex_);
  if (!opened->proven || stopping_ || linger_ == Duration::zero()) {
    lock.unlock();
    opened.reset();
    return;
  }
  std::swap(lingering_[id].opened, opened);
  lingering_[id].until = Clock::system().now() + linger_;
  if (!closer_.joinable()) closer_ = std::thread([this] { close_what_lingered(); });
  lingering_changed_.notify_all();
  lock.unlock();
  opened.reset();  // one that lingered before, when two were open in turn
}

void StoreTable::close_what_lingered() {
  MutexLock lock(mutex_);
  while (!stopping_) {
    const auto first = std::ranges::min_element(lingering_, {}, [](const auto& entry) { return entry.second.until; });
    if (first == lingering_.end()) {
      lingering_changed_.wait(lock);
    } else if (Clock::system().now() < first->second.until) {
      lingering_changed_.wait_until(lock, first->second.until);
    } else {
      auto opened = std::move(first->second.opened);
      lingering_.erase(first);
      lock.unlock();
      opened.reset();
      lock.lock();
    }
  }
}

void StoreTable::keep(const std::string& id) {
  MutexLock lock(mutex_);
  unproven_.erase(id);
  if (const auto opened = opened_[id].lock()) opened->proven = true;
}

void StoreTable::drop_if_unused(const std::string& id) {
  MutexLock lock(mutex_);
  if (!unproven_.contains(id) || in_use(id)) return;
  std::error_code error;
  fs::remove_all(directory_ / id, error);
  if (error) log::warning("cannot delete '{}': {}", (directory_ / id).string(), error.message());
  unproven_.erase(id);
  open_.erase(id);
}

Result<control::GcReport> StoreTable::collect_garbage(
    const std::function<Result<std::set<std::string>>()>& referenced) {
  MutexLock lock(mutex_);
  TRY_ASSIGN(const std::set<std::string> needed, referenced());
  std::vector<fs::path> doomed;
  std::error_code error;
  for (fs::directory_iterator it(directory_, error), end; !error && it != end; it.increment(error)) {
    const std::string id = it->path().filename().string();
    if (needed.contains(id) || in_use(id)) continue;
    lingering_.erase(id);
    doomed.push_back(it->path());
  }
  if (error) return fail(errno_error(error.value(), "cannot list '" + directory_.string() + "'"));
  control::GcReport report;
  for (const auto& store : doomed) {
    const uint64_t bytes = disk_bytes_below(store);
    fs::remove_all(store, error);
    if (error) {
      log::warning("cannot delete '{}': {}", store.string(), error.message());
      continue;
    }
    report.removed_stores.push_back(store.filename().string());
    report.freed_bytes += bytes;
    open_.erase(store.filename().string());
    unproven_.erase(store.filename().string());
  }
  return report;
}

}  // namespace artifactfs
