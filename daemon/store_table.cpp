#include "daemon/store_table.h"

#include <sys/stat.h>

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

StoreTable::StoreTable(fs::path directory, const Rooms& rooms) : directory_(std::move(directory)), rooms_(rooms) {}

Result<std::shared_ptr<Store>> StoreTable::open(const std::string& id, const RemoteUrl& remote,
                                                const TransportContext& context) {
  MutexLock lock(mutex_);
  if (auto store = open_[id].lock()) return store;
  const fs::path directory = directory_ / id;
  std::error_code error;
  const bool is_new = !fs::exists(directory, error);
  auto store = rooms_.open_store(directory, remote, context);
  if (!store) {
    if (is_new) fs::remove_all(directory, error);
    return store;
  }
  if (is_new) unproven_.insert(id);
  open_[id] = *store;
  return store;
}

void StoreTable::keep(const std::string& id) {
  MutexLock lock(mutex_);
  unproven_.erase(id);
}

void StoreTable::drop_if_unused(const std::string& id) {
  MutexLock lock(mutex_);
  if (!unproven_.contains(id) || !open_[id].expired()) return;
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
    const auto open = open_.find(id);
    if (!needed.contains(id) && (open == open_.end() || open->second.expired())) doomed.push_back(it->path());
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
