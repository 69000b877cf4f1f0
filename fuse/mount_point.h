// MountPoint: putting a FUSE connection into the tree and taking it out again.
//
// As root with mount(2), so that failures have an errno; otherwise, or where root may not mount, through fusermount3.
// The mount table is read from /proc/self/mountinfo: nothing here looks a path up inside a mount of ours.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "fuse/session.h"

namespace artifactfs {

/// What mount(2) and fusermount3 need, made from the user's words.
struct MountOptions {
  std::string source;
  unsigned long flags = 0;  // MS_*
  bool allow_other = false;
  uint32_t max_read_bytes = 0;  // 0: no limit of its own
};

/// ErrorCode::invalid_argument names an option that is not known, or contradicts another.
Result<MountOptions> parse_mount_options(const FuseOptions& options);

/// One line of /proc/self/mountinfo (proc(5)).
struct MountEntry {
  std::string device;  // "major:minor"
  std::string directory;
  std::string type;
};
std::vector<MountEntry> parse_mountinfo(std::string_view text);

/// Not thread-safe.
class MountPoint {
 public:
  /// Mounts a new connection; `directory` must exist. Returns its /dev/fuse descriptor too (close-on-exec). The kernel
  /// holds everybody who looks at the directory until INIT is answered there.
  static Result<std::pair<MountPoint, UniqueFd>> mount(const std::filesystem::path& directory,
                                                       const MountOptions& options);
  /// Succeeds if it is not mounted any more. ErrorCode::busy while in use, unless lazy.
  Result<void> unmount(bool lazy) const;

  const std::string& directory() const { return directory_; }
  /// "0:57", also the name of the directory in /sys/class/bdi.
  const std::string& device() const { return device_; }

 private:
  MountPoint(std::string directory, std::string device)
      : directory_(std::move(directory)), device_(std::move(device)) {}
  std::string directory_;
  std::string device_;
};

/// Messages of libfuse go to our log. May be called more than once.
void route_libfuse_log();

}  // namespace artifactfs
