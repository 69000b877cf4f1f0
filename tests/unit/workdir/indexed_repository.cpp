#include "tests/unit/workdir/indexed_repository.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "cache/tree.h"

namespace artifactfs::test {

class HeldObjectStore::Parked final : public ParkedOperation {
 public:
  explicit Parked(Action action) : action_(std::move(action)) {}
  void run(bool released) {
    Action action;
    {
      MutexLock lock(mutex_);
      action = std::exchange(action_, nullptr);
    }
    if (action) action(released);
  }
  void cancel() noexcept override { run(false); }

 private:
  Mutex mutex_;
  Action action_ GUARDED_BY(mutex_);
};

bool HeldObjectStore::is_released(const ObjectId& oid) {
  MutexLock lock(mutex_);
  return all_ || released_.contains(oid);
}

void HeldObjectStore::release(const ObjectId& oid) {
  std::vector<std::shared_ptr<Parked>> waiting;
  {
    MutexLock lock(mutex_);
    released_.insert(oid);
    const auto [first, last] = parked_.equal_range(oid);
    for (auto it = first; it != last; ++it) waiting.push_back(it->second);
    parked_.erase(first, last);
  }
  for (const auto& parked : waiting) parked->run(true);
}

size_t HeldObjectStore::parked() {
  MutexLock lock(mutex_);
  return parked_.size();
}

Ticket HeldObjectStore::park(const ObjectId& oid, Action action) {
  auto parked = std::make_shared<Parked>(std::move(action));
  MutexLock lock(mutex_);
  parked_.emplace(oid, parked);
  return parked;
}

std::optional<uint64_t> HeldObjectStore::size_now(const ObjectId& oid) {
  return is_released(oid) ? objects_.size(oid) : std::nullopt;
}

std::vector<std::optional<uint64_t>> HeldObjectStore::sizes_now(std::span<const ObjectId> oids) {
  std::vector<std::optional<uint64_t>> out;
  for (const auto& oid : oids) out.push_back(size_now(oid));
  return out;
}

Ticket HeldObjectStore::size(const ObjectId& oid, std::span<const ObjectId> siblings, Duration,
                             Completion<uint64_t> done) {
  last_siblings_ = siblings.size();
  if (is_released(oid)) {
    done(objects_.size(oid).value());
    return nullptr;
  }
  return park(oid, [this, oid, done = std::move(done)](bool released) mutable {
    if (!released) return done(fail(ErrorCode::interrupted, "", "interrupted"));
    done(objects_.size(oid).value());
  });
}

ReadData HeldObjectStore::content(const ObjectId& oid, uint64_t offset, size_t size) {
  const auto object = objects_.read(oid).value();
  ReadData data;
  if (offset >= object.content.size()) return data;
  data.size = std::min(size, object.content.size() - static_cast<size_t>(offset));
  data.bytes = std::make_unique<std::byte[]>(data.size);
  std::memcpy(data.bytes.get(), object.content.data() + offset, data.size);
  return data;
}

Ticket HeldObjectStore::read(const ObjectId& oid, uint64_t offset, size_t size, Duration, Completion<ReadData> done) {
  if (is_released(oid)) {
    done(content(oid, offset, size));
    return nullptr;
  }
  return park(oid, [this, oid, offset, size, done = std::move(done)](bool released) mutable {
    if (!released) return done(fail(ErrorCode::interrupted, "", "interrupted"));
    done(content(oid, offset, size));
  });
}

IndexedRepository::IndexedRepository() : repository_(directory_.path() / "repository") {
  index_ = TreeIndex::open(directory_.path() / "index.db").value();
  database_ = Git2ObjectDatabase::open(repository_.path() / ".git" / "objects").value();
  objects_ = std::make_unique<HeldObjectStore>(*database_);
}

CommitRow IndexedRepository::import_head() {
  database_->refresh();
  const ObjectId commit = oid("HEAD");
  const CommitRow row = parse_commit(commit, database_->read(commit).value().content).value();
  TreeIndex::RawTrees trees;
  std::vector<ObjectId> pending = {row.tree};
  while (!pending.empty()) {
    const ObjectId tree = pending.back();
    pending.pop_back();
    auto object = database_->read(tree).value();
    const auto entries = parse_raw_tree(tree, object.content).value();
    for (const auto& entry : entries) {
      if (entry.mode == 040000) pending.push_back(entry.oid);
    }
    trees[tree] = std::move(object.content);
  }
  EXPECT_TRUE(index_->import_trees(row.tree, trees));
  EXPECT_TRUE(index_->put_commit(row));
  return row;
}

}  // namespace artifactfs::test
