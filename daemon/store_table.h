// StoreTable: the open stores of a daemon, one a remote, shared by its mounts and closed with the last of them.
//
// Thread-safe. The lock is held while a store is opened or deleted (disk, never the network), so that nobody opens what
// is being deleted.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/error.h"
#include "base/mutex.h"
#include "daemon/control_protocol.h"
#include "daemon/rooms.h"

namespace artifactfs {

class StoreTable {
 public:
  /// `directory` is <state>/stores.
  StoreTable(std::filesystem::path directory, const Rooms& rooms);

  /// The open store of that id, or opens it.
  Result<std::shared_ptr<Store>> open(const std::string& id, const RemoteUrl& remote, const TransportContext& context)
      EXCLUDES(mutex_);

  /// A mount stands on the store: it is worth keeping.
  void keep(const std::string& id) EXCLUDES(mutex_);
  /// A mount failed: deletes the store if it was made by this process for mounts of which none succeeded, and nobody
  /// has it open. The caller has let go of it.
  void drop_if_unused(const std::string& id) EXCLUDES(mutex_);

  /// Deletes the stores that are not open and that `referenced` (called under the lock, so that no mount can begin in
  /// between) does not name. What cannot be deleted is logged and left.
  Result<control::GcReport> collect_garbage(const std::function<Result<std::set<std::string>>()>& referenced)
      EXCLUDES(mutex_);

 private:
  const std::filesystem::path directory_;
  const Rooms& rooms_;

  Mutex mutex_;
  std::map<std::string, std::weak_ptr<Store>> open_ GUARDED_BY(mutex_);
  std::set<std::string> unproven_ GUARDED_BY(mutex_);  // made by us, no mount has stood on it yet
};

}  // namespace artifactfs
