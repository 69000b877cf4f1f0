#include "workdir/workdir_life.h"

#include <sys/statvfs.h>

#include <cerrno>
#include <utility>

#include "base/log.h"
#include "workdir/gitdir.h"

namespace artifactfs {

WorkdirLife::WorkdirLife(std::shared_ptr<Store> store, const Snapshot& snapshot, const WorkdirOptions& options)
    : store_(std::move(store)), snapshot_(snapshot), options_(options) {}

WorkdirStatus WorkdirLife::status() const {
  WorkdirStatus status;
  status.phase = store_->status().last_error.empty() ? "ready" : "offline";
  status.commit = snapshot_.commit;
  status.branch = snapshot_.branch;
  return status;
}

void WorkdirLife::add_refs(const std::vector<RefRow>& refs, const std::vector<ObjectId>& shallow) const {
  if (auto added = add_remote_refs(git_directory(), options_.owner, refs, shallow, snapshot_.commit); !added) {
    log::warning("{}", added.error().text());
  }
}

Result<FilesystemStats> WorkdirLife::statfs() const {
  struct statvfs disk {};
  if (::statvfs(options_.directory.c_str(), &disk) != 0) {
    return fail_errno(errno, "cannot look at the disk below '" + options_.directory.string() + "'");
  }
  FilesystemStats stats;
  stats.block_bytes = disk.f_frsize;
  stats.blocks = disk.f_blocks;
  stats.blocks_free = disk.f_bfree;
  stats.blocks_available = disk.f_bavail;
  stats.files = disk.f_files;
  stats.files_free = disk.f_ffree;
  return stats;
}

}  // namespace artifactfs
