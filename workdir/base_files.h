// BaseFiles: what the entries of the base tree look like and contain, for every Workdir that shows them (read-only or
// below an overlay). Also the synthesized ".git".
//
// All state is constant after construction but counters. Thread-safe.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/subprocess.h"
#include "workdir/base_tree.h"
#include "workdir/object_store.h"

namespace artifactfs {

inline constexpr std::string_view kGitfileName = ".git";
inline constexpr uint64_t kDirectoryBytes = 4096;  // st_size of every directory

// Cookies of read_directory; entry i of the base tree has kFirstEntryCookie + i, for ever.
inline constexpr uint64_t kDotCookie = 1, kDotDotCookie = 2, kGitfileCookie = 3, kFirstEntryCookie = 8;

bool is_directory(EntryKind kind);
/// S_IFMT and permissions that a checkout gives.
uint32_t mode_of(EntryKind kind);
/// The time that base entries get: the commit's, but at most now - 2 s, since git takes an entry whose mtime is not
/// older than its index for racy, and reads the file.
int64_t base_timestamp(int64_t committer_time);

struct BaseFilesOptions {
  UserIds owner;
  int64_t timestamp = 0;  // of every base entry, seconds since the epoch
  Duration fetch_timeout = std::chrono::seconds(60);
  std::string gitfile;  // content of ".git"
};

class BaseFiles {
 public:
  /// The references must outlive this; `index` must have `root`.
  BaseFiles(TreeIndex& index, ObjectStore& objects, const ObjectId& root, BaseFilesOptions options);

  const BaseTree& tree() const { return tree_; }
  const BaseFilesOptions& options() const { return options_; }
  ObjectStore& objects() const { return objects_; }

  /// Owner and times; everything else is the caller's to fill in.
  Attributes common_attributes(InodeNumber inode) const;
  Attributes attributes(const BaseEntry& entry, std::optional<uint64_t> size_bytes) const;
  Result<Attributes> directory_attributes(const BaseEntry& entry) const;
  /// Of any entry, the size unknown when it would have to be asked for.
  Result<Attributes> attributes_now(const BaseEntry& entry) const;
  /// Subdirectories of a directory; 0 for anything else.
  Result<uint64_t> subdirectories(const BaseEntry& entry) const;
  Attributes gitfile_attributes() const;
  ReadData read_gitfile(uint64_t offset, size_t size) const;

  /// The size of a file or symlink, waited for if need be. `done` must not outlive this.
  [[nodiscard]] Ticket size(const BaseEntry& entry, Completion<uint64_t> done);
  [[nodiscard]] Ticket read(const ObjectId& oid, uint64_t offset, size_t size, Completion<ReadData> done);
  [[nodiscard]] Ticket readlink(const ObjectId& oid, Completion<std::string> done);
  /// user.artifactfs.state of an entry without data of its own.
  std::string state(const BaseEntry& entry) const;

  /// Readers that wait now.
  uint64_t blocked_readers() const { return blocked_readers_; }

 private:
  class Blocked;
  /// Files of the same directory, when a size in it has been asked for before: then somebody is going through it.
  std::vector<ObjectId> siblings_to_size(const BaseEntry& entry);

  // Constant after construction.
  ObjectStore& objects_;
  const BaseFilesOptions options_;
  const BaseTree tree_;

  std::atomic<uint64_t> blocked_readers_{0};
  std::atomic<InodeNumber> last_sized_directory_{0};
};

}  // namespace artifactfs
