// Who keeps a mount busy: found in /proc, reading symbolic links and maps only, never the mount itself.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace artifactfs {

struct MountHolder {
  pid_t pid = 0;
  std::string command;  // of /proc/<pid>/comm
  std::string how;      // "has its working directory in it", "has '/mnt/x/file' open"
};

/// One entry a process, by pid. Processes of other users are seen only by root.
std::vector<MountHolder> find_mount_holders(const std::filesystem::path& mount_point);

/// "pid 12 (bash) has its working directory in it; pid 14 (cat) has '/mnt/a' open", at most kNamedHolders of them, or
/// what else is known about why it is busy.
std::string describe_mount_holders(const std::filesystem::path& mount_point);
inline constexpr size_t kNamedHolders = 5;

}  // namespace artifactfs
