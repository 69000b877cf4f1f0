// StoreTable: the open stores of a daemon, one a remote, shared by its mounts and closed soon after the last of them.
//
// A store that a mount has stood on lingers for a while when nobody uses it any more: its databases stay open and its
// connections warm, and the next mount of that remote, by the same user with the same environment, finds it so (saves
// opening, `git config` and connecting: about 70 ms at 40 ms round trip).
//
// Thread-safe. The lock is held while a store is opened or deleted (disk, never the network), so that nobody opens what
// is being deleted. The stores that open() returns must be let go before the table ends.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/mutex.h"
#include "daemon/control_protocol.h"
#include "daemon/rooms.h"

namespace artifactfs {

class StoreTable {
 public:
  /// How long a store is kept open that nobody uses.
  static constexpr Duration kLinger = std::chrono::seconds(10);

  /// `directory` is <state>/stores.
  StoreTable(std::filesystem::path directory, const Rooms& rooms, Duration linger = kLinger);
  ~StoreTable();
  StoreTable(const StoreTable&) = delete;
  StoreTable& operator=(const StoreTable&) = delete;

  /// The open store of that id, or opens it.
  Result<std::shared_ptr<Store>> open(const std::string& id, const RemoteUrl& remote, const TransportContext& context)
      EXCLUDES(mutex_);

  /// A mount stands on the store: it is worth keeping, on disk, and open for a while after its last user.
  void keep(const std::string& id) EXCLUDES(mutex_);
  /// A mount failed: deletes the store if it was made by this process for mounts of which none succeeded, and nobody
  /// has it open. The caller has let go of it.
  void drop_if_unused(const std::string& id) EXCLUDES(mutex_);

  /// Deletes the stores that are not open and that `referenced` (called under the lock, so that no mount can begin in
  /// between) does not name. What cannot be deleted is logged and left.
  Result<control::GcReport> collect_garbage(const std::function<Result<std::set<std::string>>()>& referenced)
      EXCLUDES(mutex_);

 private:
  /// Shared with the deleter of what open() returns.
  struct Opened {
    std::shared_ptr<Store> store;
    TransportContext context;
    bool proven = false;  // guarded by mutex_: a mount has stood on it
  };
  struct Lingering {
    std::shared_ptr<Opened> opened;
    Deadline until;
  };

  /// The handle that is given out: when the last copy goes, released() runs.
  std::shared_ptr<Store> hand_out(const std::string& id, std::shared_ptr<Opened> opened) REQUIRES(mutex_);
  void released(const std::string& id, std::shared_ptr<Opened> opened) EXCLUDES(mutex_);
  void close_what_lingered() EXCLUDES(mutex_);
  bool in_use(const std::string& id) const REQUIRES(mutex_);

  const std::filesystem::path directory_;
  const Rooms& rooms_;
  const Duration linger_;

  Mutex mutex_;
  CondVar lingering_changed_;
  std::map<std::string, std::weak_ptr<Store>> open_ GUARDED_BY(mutex_);
  std::map<std::string, std::weak_ptr<Opened>> opened_ GUARDED_BY(mutex_);  // what open_ handed out
  std::map<std::string, Lingering> lingering_ GUARDED_BY(mutex_);
  std::set<std::string> unproven_ GUARDED_BY(mutex_);  // made by us, no mount has stood on it yet
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread closer_ GUARDED_BY(mutex_);  // made with the first store that lingers
};

}  // namespace artifactfs
