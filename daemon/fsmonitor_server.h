// FsmonitorServer: answers git's fsmonitor hook for one mount (base/fsmonitor_protocol.h), on a thread of its own.
//
// Owned by whoever owns the mount; destroyed before it. Never looks at the mount.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/subprocess.h"
#include "daemon/owner_socket.h"
#include "workdir/changed_paths.h"

namespace artifactfs {

/// What has changed since `token`. Quick, and called on the server's thread; a failure counts as "everything".
using ChangeSource = std::function<Result<ChangedPaths>(std::string_view token)>;

struct FsmonitorMount {
  std::filesystem::path directory;  // mounts/<mount-id>: the socket is made there
  UserIds owner;                    // who may ask (and root)
  dev_t device = 0;                 // st_dev of the mount, from /proc/self/mountinfo
  uint64_t root_inode = 1;          // st_ino of its root
};

class FsmonitorServer {
 public:
  /// With more paths than this the answer is "everything": by then that is less work for git.
  static constexpr size_t kMaxPaths = 50'000;

  /// A socket left behind by an earlier daemon is replaced.
  static Result<std::unique_ptr<FsmonitorServer>> start(const FsmonitorMount& mount, ChangeSource source);

 private:
  FsmonitorServer(const FsmonitorMount& mount, ChangeSource source) : mount_(mount), source_(std::move(source)) {}
  std::string answer(std::string_view token) const;
  /// Appends what is for git; nothing when the hook is to answer for us.
  void append_body(std::string& reply, std::string_view token) const;

  // Constant after construction.
  const FsmonitorMount mount_;
  const ChangeSource source_;
  std::unique_ptr<OwnerSocket> socket_;  // last: its thread uses the others
};

}  // namespace artifactfs
