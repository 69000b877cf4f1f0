// Filesystem: what a mounted working tree answers, in terms of inode numbers. fuse/ is a thin wrapper around it
// (decode, call, reply), so everything here is tested without a kernel.
//
// Rule 2 of DESIGN.md: no call waits for the network, nor for a lock held across I/O. An operation that may have to
// wait takes a Completion. It is called exactly once, either before the call returns (then the returned Ticket is null)
// or later, from any thread, with no lock held. Cancelling the Ticket completes it with ErrorCode::interrupted unless
// it has completed already.
//
// Thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace artifactfs {

using InodeNumber = uint64_t;
inline constexpr InodeNumber kRootInode = 1;
/// Base entries have the numbers kRootInode + rank (cache/tree.h); inodes of the overlay count up from here.
inline constexpr InodeNumber kFirstOverlayInode = InodeNumber{1} << 40;
/// The synthesized ".git" at the root.
inline constexpr InodeNumber kGitfileInode = kFirstOverlayInode - 1;

struct Timestamp {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
};

struct Attributes {
  InodeNumber inode = 0;
  uint32_t mode = 0;  // S_IFMT and permission bits
  uint32_t links = 1;
  uid_t uid = 0;
  gid_t gid = 0;
  uint64_t size_bytes = 0;
  uint64_t blocks = 0;  // of 512 bytes
  Timestamp atime, mtime, ctime;
  /// False: size_bytes is a placeholder. The kernel must get an attribute timeout of 0, so that it asks GETATTR (which
  /// waits for the size) before anyone sees it.
  bool size_known = true;
};

struct DirectoryEntry {
  std::string_view name;
  Attributes attributes;
  uint64_t next_cookie = 0;  // passed to read_directory to continue behind this entry
};

struct FilesystemStats {  // as statvfs(3)
  uint64_t block_bytes = 4096;
  uint64_t blocks = 0, blocks_free = 0, blocks_available = 0;
  uint64_t files = 0, files_free = 0;
  uint32_t name_max_bytes = 255;
};

/// Bytes read, owned; not zero-initialized on the way.
struct ReadData {
  std::unique_ptr<std::byte[]> bytes;
  size_t size = 0;
};

template <typename T>
using Completion = std::move_only_function<void(Result<T>)>;

/// An operation that is waiting.
class ParkedOperation {
 public:
  virtual ~ParkedOperation() = default;
  /// Any thread, any number of times. May run the completion before it returns.
  virtual void cancel() noexcept = 0;
};
using Ticket = std::shared_ptr<ParkedOperation>;

class Filesystem {
 public:
  virtual ~Filesystem() = default;

  /// ErrorCode::not_found when there is no such name. Never waits: the size may be unknown (see Attributes).
  virtual Result<Attributes> lookup(InodeNumber parent, std::string_view name) = 0;

  /// Always with the true size: waits for it if need be.
  [[nodiscard]] virtual Ticket getattr(InodeNumber inode, Completion<Attributes> done) = 0;

  /// Calls `emit` for entries behind `cookie` (0: from the start, with "." and ".." first) until it returns false (that
  /// entry was not taken) or the directory ends. Cookies never move. Never waits; sizes may be unknown.
  virtual Result<void> read_directory(InodeNumber inode, uint64_t cookie,
                                      const std::function<bool(const DirectoryEntry&)>& emit) = 0;

  [[nodiscard]] virtual Ticket readlink(InodeNumber inode, Completion<std::string> done) = 0;

  /// Reads up to `size` bytes at `offset`; short only at the end of the file.
  [[nodiscard]] virtual Ticket read(InodeNumber inode, uint64_t offset, size_t size, Completion<ReadData> done) = 0;

  /// ErrorCode::no_attribute when absent; ErrorCode::not_supported for security.selinux and system.posix_acl_*.
  virtual Result<std::string> getxattr(InodeNumber inode, std::string_view name) = 0;
  virtual Result<std::vector<std::string>> listxattr(InodeNumber inode) = 0;

  virtual Result<FilesystemStats> statfs() = 0;

  /// The kernel dropped `count` lookups of `inode`.
  virtual void forget(InodeNumber inode, uint64_t count) = 0;
};

}  // namespace artifactfs
