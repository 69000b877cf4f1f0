// FuseSession: one mount point in the kernel, serving one Filesystem (libfuse's low-level API; the only room that
// includes it).
//
// A few session threads read /dev/fuse; each decodes a request, calls the Filesystem and replies, or parks the reply.
// Nothing here waits. Entries, attributes, pages, directories, symlinks and negative lookups are cached by the kernel
// without expiry. OPEN, FLUSH, RELEASE, OPENDIR and RELEASEDIR are switched off (ENOSYS). docs/decisions has the
// session settings and what each is for (DESIGN.md section 7).
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "workdir/filesystem.h"

namespace artifactfs {

struct FuseOptions {
  /// Shown as the source in /proc/mounts: the remote, without credentials.
  std::string source;
  bool read_only = true;
  bool allow_other = false;
  /// Further options of -o as the user gave them, already split at commas (uid= and gid= removed). An unknown one is an
  /// error that names it.
  std::vector<std::string> extra{};
  /// How many threads read /dev/fuse. Nobody blocks, so few are best: a hop to another core costs more than the work.
  unsigned session_threads = 2;
  /// OPEN is sent, and answered when the file's first byte can be read: only then must its size be true. For a
  /// Filesystem whose getattr() does not wait (ProjectedObjects).
  bool open_reads = false;
};

struct FuseSessionStats {
  uint64_t requests = 0;
  uint64_t parked = 0;  // replies waiting now
  /// What the kernel granted, for `doctor` and `status`: e.g. max_write, max_readahead, max_background, capability
  /// bits.
  uint32_t max_read_bytes = 0;
  uint32_t max_background = 0;
};

/// Thread-safe.
class FuseSession {
 public:
  /// Mounts on `directory` (an absolute path) and starts serving. `filesystem` must outlive the session. `on_end` runs
  /// once, on a session thread, when the kernel ended the session (somebody unmounted it), not after unmount().
  /// Errors name the directory and say what to do: no /dev/fuse, no permission (fusermount3 missing, user_allow_other
  /// not set in /etc/fuse.conf), already mounted.
  static Result<std::unique_ptr<FuseSession>> mount(const std::filesystem::path& directory, const FuseOptions& options,
                                                    Filesystem& filesystem, std::function<void()> on_end);
  /// Unmounts (lazily) if still mounted, and joins.
  virtual ~FuseSession() = default;

  /// Unmounts. ErrorCode::busy while files are open or a process has its working directory there, unless `lazy`: then
  /// the mount disappears from the tree at once and ends when its last user goes.
  virtual Result<void> unmount(bool lazy) = 0;
  virtual FuseSessionStats stats() const = 0;

  /// Makes the kernel forget what it cached: from a thread of the session's own, holding no lock. Return at once.
  virtual void invalidate_inode(InodeNumber inode) = 0;
  virtual void invalidate_entry(InodeNumber parent, std::string name) = 0;
};

}  // namespace artifactfs
