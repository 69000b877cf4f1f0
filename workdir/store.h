// Store: everything this machine has of one remote (stores/<remote-id>/), shared by all its mounts: the bare git
// repository of commits and trees, index.db, the blobs, the warm connections.
//
// Thread-safe. prepare() blocks on the network and belongs to a daemon thread; everything that FUSE reaches (objects())
// never blocks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cache/blob_store.h"
#include "cache/tree_index.h"
#include "fetch/protocol.h"
#include "fetch/remote_url.h"
#include "fetch/transport.h"
#include "workdir/object_store.h"

namespace artifactfs {

/// A commit of the remote, with all its trees local: what a mount shows.
struct Snapshot {
  ObjectId commit;
  ObjectId tree;
  int64_t committer_time = 0;
  std::string branch;  // "main" when the mount is on a branch; empty when detached
  std::string ref;  // full name of the ref that was resolved ("refs/heads/main", "refs/tags/v1"); empty for a bare oid
  /// The refs whose objects are local: the chosen one, HEAD and tags at this commit.
  std::vector<RefRow> local_refs;
  std::vector<ObjectId> shallow;
};

struct StoreStatus {
  std::string display_url;
  /// Why this remote is served in a lesser way ("the server does not support filters; ..."); empty when all is well.
  std::string limitation;
  std::string last_error;
  uint64_t pending_fetches = 0;  // objects (or sizes) queued or being fetched
  TransportStats transport;
  BlobStore::Stats blobs;
};

using ProgressFunction = std::function<void(const std::string& line)>;

/// Told of what start_background() has brought; called on background threads, never two at once.
struct BackgroundListener {
  /// All refs whose objects are local now, and the store's shallow commits.
  std::function<void(const std::vector<RefRow>& refs, const std::vector<ObjectId>& shallow)> refs;
  /// The size of every blob of the snapshot is known.
  std::function<void()> sizes;
};

class Store {
 public:
  /// The directory name of a remote's store: a readable part and a hash of the canonical URL.
  static std::string remote_id(const RemoteUrl& remote);

  /// Opens or creates `directory` (stores/<remote-id>). No network.
  static Result<std::shared_ptr<Store>> open(const std::filesystem::path& directory, const RemoteUrl& remote,
                                             const TransportContext& context);
  virtual ~Store() = default;

  /// Asks the server what `ref` is now (a branch, a tag, a full ref name, a commit id; empty: HEAD), and makes its
  /// commit and trees local. Errors carry the cause; the caller says what it was for.
  virtual Result<Snapshot> prepare(const std::string& ref, const ProgressFunction& progress,
                                   Cancellation* cancellation) = 0;
  /// The snapshot of a commit that is local already, without the network; nullopt if it is not.
  virtual std::optional<Snapshot> local_snapshot(const ObjectId& commit) = 0;

  /// Starts, in the background: the tips of all other refs, all sizes of the snapshot where the server offers
  /// object-info, and unless `prefetch` is false the contents. Returns at once. The destructor of the returned handle
  /// ends the work: after it `listener` is not called any more.
  virtual std::shared_ptr<void> start_background(const Snapshot& snapshot, bool prefetch,
                                                 BackgroundListener listener) = 0;

  virtual TreeIndex& index() = 0;
  virtual BlobStore& blobs() = 0;
  virtual ObjectStore& objects() = 0;
  virtual std::filesystem::path git_directory() const = 0;
  virtual const RemoteUrl& remote() const = 0;
  /// Transport::credential() of the remote, for git in the mounts; and its forget_credential().
  virtual std::optional<Credential> credential() { return std::nullopt; }
  virtual void forget_credential(const Credential& /*refused*/) {}
  virtual StoreStatus status() = 0;
  /// Ends everything that waits for the network, with ErrorCode::cancelled. For the daemon's end.
  virtual void shutdown() = 0;
};

}  // namespace artifactfs
