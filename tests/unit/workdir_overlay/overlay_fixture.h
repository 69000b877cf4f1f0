// MemoryBase: a base tree from a list of files, its trees in a real TreeIndex and its blobs in memory, and a
// WritableWorkdir above it. No network, no kernel, no git.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <future>
#include <map>
#include <string>
#include <vector>

#include "cache/tree_index.h"
#include "tests/harness/temporary_directory.h"
#include "workdir/overlay_check.h"
#include "workdir/writable_workdir.h"

namespace artifactfs::test {

/// Answers at once, or on release() while held; counts what it is asked for.
class MemoryObjectStore final : public ObjectStore {
 public:
  void add(const ObjectId& oid, std::string content) { blobs_[oid] = std::move(content); }
  /// From now on nothing is cached or sized, and requests wait.
  void hold() { held_ = true; }
  /// Answers what waits, and everything from now on.
  void release();
  size_t waiting();
  size_t requests() const { return requests_; }

  std::optional<uint64_t> size_now(const ObjectId& oid) override;
  std::vector<std::optional<uint64_t>> sizes_now(std::span<const ObjectId> oids) override;
  Ticket size(const ObjectId& oid, std::span<const ObjectId> siblings, Duration timeout,
              Completion<uint64_t> done) override;
  Ticket read(const ObjectId& oid, uint64_t offset, size_t size, Duration timeout, Completion<ReadData> done) override;
  bool is_cached(const ObjectId&) override { return !held_; }

 private:
  class Parked;
  Ticket answer(std::move_only_function<void(bool released)> action);

  std::map<ObjectId, std::string> blobs_;
  std::atomic<bool> held_ = false;
  std::atomic<size_t> requests_ = 0;
  Mutex mutex_;
  std::vector<std::shared_ptr<Parked>> parked_ GUARDED_BY(mutex_);
};

class MemoryBase {
 public:
  struct File {
    std::string content;
    std::string mode = "100644";  // or 100755, 120000, 160000
  };
  using Files = std::map<std::string, File>;  // by path

  explicit MemoryBase(const Files& files);
  /// With `directory` for the overlay instead of one below the own temporary directory.
  std::unique_ptr<WritableWorkdir> open(const std::filesystem::path& directory = {});
  MemoryObjectStore& objects() { return objects_; }
  TreeIndex& index() { return *index_; }
  std::filesystem::path directory() const { return temporary_.path() / "mount"; }
  const Snapshot& snapshot() const { return snapshot_; }

 private:
  ObjectId build(const Files& files, const std::string& prefix, TreeIndex::RawTrees& trees);

  TemporaryDirectory temporary_{"artifactfs-overlay"};
  std::unique_ptr<TreeIndex> index_;
  MemoryObjectStore objects_;
  Snapshot snapshot_;
};

/// The Filesystem's operations by path and without tickets, as a program would see them.
class Files {
 public:
  explicit Files(Filesystem& filesystem) : fs_(filesystem) {}

  Result<InodeNumber> inode(const std::string& path);
  /// Parent and last name.
  Result<std::pair<InodeNumber, std::string>> place(const std::string& path);
  Result<Attributes> stat(const std::string& path);
  Result<Attributes> fstat(InodeNumber inode);
  Result<Attributes> create(const std::string& path, uint32_t mode = 0644);
  Result<Attributes> mkdir(const std::string& path, uint32_t mode = 0755);
  Result<Attributes> symlink(const std::string& target, const std::string& path);
  Result<Attributes> link(const std::string& from, const std::string& path);
  Result<void> unlink(const std::string& path);
  Result<void> rmdir(const std::string& path);
  Result<void> rename(const std::string& from, const std::string& to, RenameMode mode = RenameMode::replace);
  Result<size_t> write(InodeNumber inode, uint64_t offset, std::string_view data);
  Result<size_t> write(const std::string& path, uint64_t offset, std::string_view data);
  Result<Attributes> truncate(const std::string& path, uint64_t size);
  Result<Attributes> setattr(const std::string& path, const AttributeChange& change);
  Result<std::string> read(InodeNumber inode, uint64_t offset = 0, size_t size = 1 << 24);
  Result<std::string> read(const std::string& path) {
    TRY_ASSIGN(const auto number, inode(path));
    return read(number);
  }
  Result<std::string> readlink(const std::string& path);
  Result<void> fsync(const std::string& path);
  std::vector<std::string> list(const std::string& path);
  Filesystem& fs() { return fs_; }

  /// All below the root but ".git": "<path> <kind+mode> <links> <content or target>".
  std::vector<std::string> tree();

  /// Waits for an operation that takes a Completion.
  template <typename T, typename Start>
  static Result<T> wait(Start&& start) {
    std::promise<Result<T>> promise;
    auto future = promise.get_future();
    Ticket ticket = start(Completion<T>([&promise](Result<T> result) { promise.set_value(std::move(result)); }));
    return future.get();
  }

  Caller caller{::getuid(), ::getgid(), ::getpid()};

 private:
  void walk(InodeNumber directory, const std::string& prefix, std::vector<std::string>& out);
  Filesystem& fs_;
};

inline std::vector<OverlayFinding> findings_of(const std::filesystem::path& directory, bool repair) {
  return check_overlay(directory, repair).value();
}

ErrorCode code_of(const auto& result) { return result ? ErrorCode::internal : result.error().code; }

}  // namespace artifactfs::test
