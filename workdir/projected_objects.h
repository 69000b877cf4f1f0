// ProjectedObjects: a git object directory that lists the base tree's blobs as loose objects, and fetches one when it
// is opened. Named in the gitdir's objects/info/alternates, it makes base blobs exist for git without being local.
// docs/decisions/0004-projected-object-directory.md.
//
// Served by a FuseSession with FuseOptions::open_reads. Until a blob's size is known its file has a placeholder for a
// size, and nobody is made to wait for a stat: git only asks whether the object is there. OPEN waits for the content;
// from then on the size is known and true.
//
// Inodes: the root, 256 directories, then the files by position in the sorted oids; nothing is kept per inode.
// Whoever reads them one after another (fsck, `repack -a -d`) is noticed, and what comes next is fetched in batches.
// Thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/subprocess.h"
#include "cache/tree_index.h"
#include "workdir/filesystem.h"
#include "workdir/object_store.h"

namespace artifactfs {

class ProjectedObjects final : public Filesystem {
 public:
  /// `store` must outlive this and everything that it has parked. `oids` in any order, repeats allowed.
  ProjectedObjects(ObjectStore& store, std::vector<ObjectId> oids, const UserIds& owner, Duration fetch_timeout);

  Result<Attributes> lookup(InodeNumber parent, std::string_view name) override;
  /// Other than Filesystem says, never waits: the size may be a placeholder.
  Ticket getattr(InodeNumber inode, Completion<Attributes> done) override;
  Result<void> read_directory(InodeNumber inode, uint64_t cookie,
                              const std::function<bool(const DirectoryEntry&)>& emit) override;
  Ticket readlink(InodeNumber inode, Completion<std::string> done) override;
  Ticket read(InodeNumber inode, uint64_t offset, size_t size, Completion<ReadData> done) override;
  Result<std::string> getxattr(InodeNumber inode, std::string_view name) override;
  Result<std::vector<std::string>> listxattr(InodeNumber inode) override;
  Result<FilesystemStats> statfs() override;
  void forget(InodeNumber, uint64_t) override {}

 private:
  class Reading;
  Result<Attributes> attributes(InodeNumber inode) const;
  Attributes file_attributes(size_t position, std::optional<uint64_t> blob_bytes) const;
  Attributes directory_attributes(InodeNumber inode) const;
  std::optional<size_t> position_of(InodeNumber inode) const;
  /// Notices a scan and prefetches ahead of it.
  void note_read(size_t position) EXCLUDES(mutex_);

  ObjectStore& store_;
  std::vector<ObjectId> oids_;  // sorted, each once: 20 bytes a blob
  const UserIds owner_;
  const Duration fetch_timeout_;

  Mutex mutex_;
  size_t last_read_ GUARDED_BY(mutex_) = 0;
  size_t run_ GUARDED_BY(mutex_) = 0;               // files read one after another, in the order of the listing
  size_t prefetched_until_ GUARDED_BY(mutex_) = 0;  // in this run
};

/// The oids of all files and symlinks below `tree`.
Result<std::vector<ObjectId>> blobs_of_tree(TreeIndex& trees, const ObjectId& tree);

}  // namespace artifactfs
