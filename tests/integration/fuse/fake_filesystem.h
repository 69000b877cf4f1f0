// FakeFilesystem: a tree in memory that counts what it is asked and completes what waits only on command.
// Thread-safe, except that the tree must be built before it is mounted.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "workdir/filesystem.h"

namespace artifactfs {

/// How often each operation arrived.
struct OperationCounts {
  std::atomic<uint64_t> lookup = 0, getattr = 0, read_directory = 0, readlink = 0, read = 0, getxattr = 0,
                        listxattr = 0, statfs = 0, forgotten = 0;
  std::atomic<uint64_t> capability_queries = 0;
  std::atomic<uint64_t> largest_read = 0;
};

class FakeFilesystem final : public Filesystem {
 public:
  FakeFilesystem();
  ~FakeFilesystem() override;

  InodeNumber add_directory(InodeNumber parent, const std::string& name, uint32_t mode = 0755);
  InodeNumber add_file(InodeNumber parent, const std::string& name, std::string content, uint32_t mode = 0644);
  /// A file of `size` bytes whose content is generated: byte i is i / 4096.
  InodeNumber add_large_file(InodeNumber parent, const std::string& name, uint64_t size);
  InodeNumber add_symlink(InodeNumber parent, const std::string& name, const std::string& target);
  void set_attribute(InodeNumber inode, const std::string& name, const std::string& value);

  /// Its size is unknown until the first getattr.
  void forget_size(InodeNumber inode);
  /// Every answer about it has a new mtime and may not be cached.
  void make_restless(InodeNumber inode);
  /// From now on reads (and getattrs, when its size is unknown) of it wait.
  void park(InodeNumber inode);
  /// Answers those that wait, and later ones at once.
  void release(InodeNumber inode);
  /// As if the remote's content had changed.
  void replace_content(InodeNumber inode, std::string content);
  void rename_entry(InodeNumber parent, const std::string& from, const std::string& to);

  size_t waiting() const EXCLUDES(mutex_);
  OperationCounts& counts() { return counts_; }
  /// Called in lookup, before the answer, without a lock.
  std::function<void(std::string_view name)> on_lookup;

  Result<Attributes> lookup(InodeNumber parent, std::string_view name) override;
  Ticket getattr(InodeNumber inode, Completion<Attributes> done) override;
  Result<void> read_directory(InodeNumber inode, uint64_t cookie,
                              const std::function<bool(const DirectoryEntry&)>& emit) override;
  Ticket readlink(InodeNumber inode, Completion<std::string> done) override;
  Ticket read(InodeNumber inode, uint64_t offset, size_t size, Completion<ReadData> done) override;
  Result<std::string> getxattr(InodeNumber inode, std::string_view name) override;
  Result<std::vector<std::string>> listxattr(InodeNumber inode) override;
  Result<FilesystemStats> statfs() override;
  void forget(InodeNumber inode, uint64_t count) override;

 private:
  struct Node {
    Attributes attributes;
    InodeNumber parent = 0;
    std::string content;  // of a file, or a symlink's target
    bool generated = false;
    bool restless = false;
    std::vector<std::pair<std::string, InodeNumber>> entries;
    std::unordered_map<std::string, size_t> by_name;
    std::map<std::string, std::string> xattrs;
  };
  class Waiting;

  InodeNumber add(InodeNumber parent, const std::string& name, uint32_t mode);
  Ticket wait(InodeNumber inode, std::move_only_function<void(Result<void>)> then) EXCLUDES(mutex_);
  Result<ReadData> content(InodeNumber inode, uint64_t offset, size_t size) EXCLUDES(mutex_);
  Attributes attributes_of(Node& node) REQUIRES(mutex_);

  OperationCounts counts_;
  mutable Mutex mutex_;
  std::unordered_map<InodeNumber, Node> nodes_ GUARDED_BY(mutex_);
  InodeNumber next_inode_ GUARDED_BY(mutex_) = kRootInode;
  std::set<InodeNumber> parked_ GUARDED_BY(mutex_);
  std::multimap<InodeNumber, std::shared_ptr<Waiting>> waiting_ GUARDED_BY(mutex_);
};

}  // namespace artifactfs
