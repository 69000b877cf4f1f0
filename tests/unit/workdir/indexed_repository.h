// IndexedRepository: a git repository made by the test, whose trees are in a TreeIndex, and an ObjectStore that serves
// its blobs when told to. No network, no kernel.
#pragma once

#include <map>
#include <set>

#include "base/mutex.h"
#include "cache/tree_index.h"
#include "tests/harness/git_repository.h"
#include "tests/harness/temporary_directory.h"
#include "workdir/git2_object_database.h"
#include "workdir/object_store.h"
#include "workdir/pack_importer.h"

namespace artifactfs::test {

/// Answers at once for what is released; parks the rest until release() or the waiter's cancel.
class HeldObjectStore final : public ObjectStore {
 public:
  explicit HeldObjectStore(Git2ObjectDatabase& objects) : objects_(objects) {}

  void release(const ObjectId& oid);
  /// Everything is cached and sized from now on.
  void release_all() { all_ = true; }
  size_t parked();
  /// Siblings that came with the last size().
  size_t last_siblings() const { return last_siblings_; }

  std::optional<uint64_t> size_now(const ObjectId& oid) override;
  std::vector<std::optional<uint64_t>> sizes_now(std::span<const ObjectId> oids) override;
  Ticket size(const ObjectId& oid, std::span<const ObjectId> siblings, Duration timeout,
              Completion<uint64_t> done) override;
  Ticket read(const ObjectId& oid, uint64_t offset, size_t size, Duration timeout, Completion<ReadData> done) override;
  bool is_cached(const ObjectId& oid) override { return is_released(oid); }

 private:
  class Parked;
  using Action = std::move_only_function<void(bool)>;  // true: released; false: cancelled
  Ticket park(const ObjectId& oid, Action action);
  bool is_released(const ObjectId& oid);
  ReadData content(const ObjectId& oid, uint64_t offset, size_t size);

  Git2ObjectDatabase& objects_;
  bool all_ = false;
  size_t last_siblings_ = 0;
  Mutex mutex_;
  std::set<ObjectId> released_ GUARDED_BY(mutex_);
  std::multimap<ObjectId, std::shared_ptr<Parked>> parked_ GUARDED_BY(mutex_);
};

class IndexedRepository {
 public:
  IndexedRepository();
  GitRepository& git() { return repository_; }
  const std::filesystem::path& path() const { return directory_.path(); }
  /// Reads HEAD's trees into the index; the commit.
  CommitRow import_head();
  ObjectId oid(std::string_view revision) { return ObjectId::from_hex(repository_.rev_parse(revision)).value(); }
  TreeIndex& index() { return *index_; }
  HeldObjectStore& objects() { return *objects_; }

 private:
  TemporaryDirectory directory_;
  GitRepository repository_;
  std::unique_ptr<TreeIndex> index_;
  std::unique_ptr<Git2ObjectDatabase> database_;
  std::unique_ptr<HeldObjectStore> objects_;
};

}  // namespace artifactfs::test
