// What is mounted where, by the text of /proc/self/mountinfo (proc_pid_mountinfo(5)) alone: the daemon must never look
// up a path that may lie in one of its own mounts (rule 6 of DESIGN.md).
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace artifactfs {

struct MountInfo {
  std::string mount_point;  // absolute, unescaped
  std::string type;         // "ext4", "fuse.artifactfs"
  std::string source;
  dev_t device = 0;  // st_dev of what is on it

  bool is_artifactfs() const { return type == "fuse.artifactfs"; }
};

/// In the order of the kernel: a later one hides an earlier one at the same place.
Result<std::vector<MountInfo>> read_mount_info();
/// Lines that cannot be understood are left out.
std::vector<MountInfo> parse_mount_info(std::string_view text);

/// True if `path` is `directory` or lies below it. Both absolute and normalized.
bool is_within(std::string_view path, std::string_view directory);

/// The mount that `path` (absolute, without symbolic links) is on; null when there is none.
const MountInfo* mount_of(const std::vector<MountInfo>& mounts, std::string_view path);
/// The topmost mount whose mount point is `path` exactly; null when there is none.
const MountInfo* mount_at(const std::vector<MountInfo>& mounts, std::string_view path);

}  // namespace artifactfs
