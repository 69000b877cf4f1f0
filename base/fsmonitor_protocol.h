// What git's fsmonitor hook (cli/fsmonitor/) and the daemon say to each other. Nothing but constants and one struct, so
// that the hook starts without our libraries.
//
// Each mount has a stream socket of its own, kFsmonitorSocketName, in its directory (mounts/<mount-id>), where the link
// that core.fsmonitor names lies too. The hook sends git's token and shuts its side down for writing; the daemon
// answers with an FsmonitorReply and `body_bytes` bytes for git (githooks(5), fsmonitor-watchman, version 2: the new
// token, NUL, then paths, each ended by NUL; "/" is everything), and closes. Both run on one machine: native byte
// order.
//
// `device` and `inode` are what stat(2) says of the mount's root. The hook gives git the body only when its own working
// directory is that very directory: a linked worktree shares the configuration, a copy of the tree the gitfile, and
// git would take "nothing has changed in the mount" for "nothing has changed here". Whenever the hook is not sure it
// says that everything may have changed.
#pragma once

#include <cstdint>

namespace artifactfs {

inline constexpr char kFsmonitorSocketName[] = "fsmonitor.sock";
inline constexpr uint32_t kFsmonitorMagic = 0x4d534641;  // changes when anything here does
inline constexpr uint64_t kFsmonitorMaxBodyBytes = uint64_t{64} << 20;
inline constexpr uint64_t kFsmonitorMaxTokenBytes = 1024;
inline constexpr int kFsmonitorTimeoutSeconds = 5;

struct FsmonitorReply {
  uint32_t magic = kFsmonitorMagic;
  uint32_t reserved = 0;
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t body_bytes = 0;
};
static_assert(sizeof(FsmonitorReply) == 32);

}  // namespace artifactfs
