// UpperFiles: mounts/<mount-id>/upper/, the contents that the overlay owns, one file an inode, named by its number.
//
// One flat directory: ext4 and XFS index it, and one fsync of it covers every new name. A copy-up in progress is
// <inode>.tmp. Descriptors are kept open for the files used last (closing after each write makes ext4 flush a file that
// had been truncated).
//
// Thread-safe; no lock but that of sync_names() is held across I/O.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <list>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/unique_fd.h"
#include "workdir/filesystem.h"

namespace artifactfs {

class UpperFiles {
 public:
  static constexpr size_t kOpenFiles = 256;
  using File = std::shared_ptr<const UniqueFd>;

  /// Makes the directory if it is missing.
  static Result<std::unique_ptr<UpperFiles>> open(const std::filesystem::path& directory);

  /// A new empty file; an old one of that name is emptied.
  Result<File> create(InodeNumber inode);
  Result<File> file(InodeNumber inode) EXCLUDES(mutex_);
  Result<struct stat> stat(InodeNumber inode) EXCLUDES(mutex_);
  /// No error when it is absent.
  Result<void> remove(InodeNumber inode) EXCLUDES(mutex_);

  /// <inode>.tmp, emptied, which publish() makes the inode's file.
  Result<UniqueFd> create_temporary(InodeNumber inode);
  Result<void> publish(InodeNumber inode);
  void remove_temporary(InodeNumber inode);

  /// Makes the names made so far durable, if there are any new ones. Waits for the disk.
  Result<void> sync_names() EXCLUDES(sync_mutex_);

  struct Names {
    std::vector<InodeNumber> files, temporaries;
    std::vector<std::string> unknown;
  };
  Result<Names> list() const;

  const std::filesystem::path& path() const { return path_; }

 private:
  UpperFiles(std::filesystem::path path, UniqueFd directory)
      : path_(std::move(path)), directory_(std::move(directory)) {}
  Result<File> open_named(InodeNumber inode, int flags);
  void keep(InodeNumber inode, const File& file) EXCLUDES(mutex_);
  Error error(InodeNumber inode, const char* what) const;

  const std::filesystem::path path_;
  const UniqueFd directory_;

  std::atomic<uint64_t> made_{1};  // names made so far; the directory itself is one
  Mutex sync_mutex_;
  uint64_t synced_ GUARDED_BY(sync_mutex_) = 0;

  Mutex mutex_;
  using Order = std::list<std::pair<InodeNumber, File>>;
  Order order_ GUARDED_BY(mutex_);  // most recently used first
  std::unordered_map<InodeNumber, Order::iterator> open_ GUARDED_BY(mutex_);
};

}  // namespace artifactfs
