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
#include <optional>
#include <span>
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
  uint64_t device = 0;  // st_rdev of a device node
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

/// On whose behalf an operation runs. Who may do what has been checked by the kernel (default_permissions); new inodes
/// get these ids.
struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
};

/// setattr: what is absent stays as it is.
struct AttributeChange {
  std::optional<uint32_t> mode;  // permission bits only
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<uint64_t> size_bytes;
  std::optional<Timestamp> atime, mtime;
  bool atime_now = false, mtime_now = false;  // UTIME_NOW: the server's clock
  /// Clears set-user-id and set-group-id as write(2) by an unprivileged user does (FUSE_SET_ATTR KILL_SUIDGID).
  bool kill_privileges = false;
};

enum class RenameMode { replace, no_replace, exchange };
enum class XattrMode { any, create, replace };
enum class SeekTo { data, hole };

/// The modes of fallocate(2) that are known here.
struct AllocateMode {
  bool keep_size = false;
  bool punch_hole = false;  // with keep_size
  bool zero_range = false;
};

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

  /// The kernel holds a reference to `inode` that it did not get from lookup() or an operation that makes an inode
  /// (those count by themselves): an entry of READDIRPLUS. An inode without a name lives until its count is 0.
  virtual void remember(InodeNumber) {}
  /// The kernel dropped `count` lookups of `inode`.
  virtual void forget(InodeNumber inode, uint64_t count) = 0;

  // ---- changes. What is here are a read-only filesystem's answers (filesystem.cpp).
  //
  // A change has been committed when it is answered: it survives the death of the process, and with fsync() that of
  // the machine. ErrorCode::no_space when the disk is full; then nothing has changed (a write may be short).
  // ErrorCode::name_too_long for names over kNameMaxBytes. The synthesized ".git" (kGitfileInode) refuses all of them
  // with ErrorCode::permission_denied.

  static constexpr size_t kNameMaxBytes = 255;

  /// A regular file, FIFO, socket or device. `mode` has S_IFMT and permissions (umask already applied). A set-group-id
  /// parent gives its group. Counts as a lookup, as do mkdir, symlink, link and tmpfile.
  virtual Result<Attributes> mknod(const Caller& caller, InodeNumber parent, std::string_view name, uint32_t mode,
                                   uint64_t device);
  virtual Result<Attributes> mkdir(const Caller& caller, InodeNumber parent, std::string_view name, uint32_t mode);
  virtual Result<Attributes> symlink(const Caller& caller, InodeNumber parent, std::string_view name,
                                     std::string_view target);
  /// Never waits: the size may be unknown.
  virtual Result<Attributes> link(InodeNumber inode, InodeNumber new_parent, std::string_view new_name);
  /// A regular file without a name, in the filesystem of `parent` (O_TMPFILE).
  virtual Result<Attributes> tmpfile(const Caller& caller, InodeNumber parent, uint32_t mode);
  virtual Result<void> unlink(InodeNumber parent, std::string_view name);
  virtual Result<void> rmdir(InodeNumber parent, std::string_view name);
  virtual Result<void> rename(InodeNumber parent, std::string_view name, InodeNumber new_parent,
                              std::string_view new_name, RenameMode mode);

  /// The new attributes, with the true size unless only ids, mode or times changed and nobody knows it yet.
  [[nodiscard]] virtual Ticket setattr(InodeNumber inode, const AttributeChange& change, Completion<Attributes> done);

  /// Writes all of `data` (which is copied if the operation has to wait), and says how much was written: less when the
  /// disk became full on the way. `kill_privileges` as in AttributeChange.
  [[nodiscard]] virtual Ticket write(InodeNumber inode, uint64_t offset, std::span<const std::byte> data,
                                     bool kill_privileges, Completion<size_t> done);
  /// ErrorCode::not_supported for what the disk below cannot do.
  [[nodiscard]] virtual Ticket fallocate(InodeNumber inode, AllocateMode mode, uint64_t offset, uint64_t length,
                                         Completion<void> done);
  /// As lseek(2) with SEEK_DATA or SEEK_HOLE; nullopt for ENXIO.
  [[nodiscard]] virtual Ticket seek(InodeNumber inode, SeekTo to, uint64_t offset,
                                    Completion<std::optional<uint64_t>> done);
  /// Copies up to `size` bytes; may copy less (the caller asks again), 0 only at the end of the source.
  [[nodiscard]] virtual Ticket copy_file_range(InodeNumber from, uint64_t from_offset, InodeNumber to,
                                               uint64_t to_offset, uint64_t size, Completion<size_t> done);
  /// Everything that was acknowledged of `inode`, its names included, is on disk when this completes. Directories too.
  [[nodiscard]] virtual Ticket fsync(InodeNumber inode, bool data_only, Completion<void> done);

  /// Only user.*, of files and directories; together at most what ext4 takes (ErrorCode::no_space).
  virtual Result<void> setxattr(InodeNumber inode, std::string_view name, std::string_view value, XattrMode mode);
  virtual Result<void> removexattr(InodeNumber inode, std::string_view name);
};

}  // namespace artifactfs
