// RemoteStore: the Store of one remote, on disk and on the network. See store.h for the contract; store.cpp opens one.
//
// Locks: transport_mutex_ guards the making of the transport; shallow_mutex_ the store's shallow file. Neither is held
// across the network. Members stand in the order of their dependence, so that destruction ends the fetch threads before
// what they use.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/worker_pool.h"
#include "fetch/git_program.h"
#include "fetch/object_fetcher.h"
#include "workdir/cached_object_store.h"
#include "workdir/git2_object_database.h"
#include "workdir/store.h"

namespace artifactfs {

/// Blobs from wherever this remote gives them: over the network, or from the store's own repository when the remote
/// could only be downloaded whole.
class StoreObjectSource final : public ObjectSource {
 public:
  StoreObjectSource(ProtocolClient& client, Git2ObjectDatabase& objects) : remote_(client), objects_(objects) {}
  void use_local_objects() { local_ = true; }
  bool uses_local_objects() const { return local_; }

  Result<void> fetch_blobs(std::span<const ObjectId> oids, PackSink& sink, Cancellation& cancellation) override;
  Result<bool> has_sizes() override;
  Result<std::vector<std::optional<uint64_t>>> sizes(std::span<const ObjectId> oids,
                                                     Cancellation& cancellation) override;

 private:
  RemoteObjectSource remote_;
  Git2ObjectDatabase& objects_;
  std::atomic<bool> local_{false};
};

class RemoteStore final : public Store {
 public:
  RemoteStore(std::filesystem::path directory, RemoteUrl remote, TransportContext context,
              std::unique_ptr<TreeIndex> index, std::unique_ptr<BlobStore> blobs,
              std::unique_ptr<Git2ObjectDatabase> database, std::unique_ptr<Transport> transport);
  ~RemoteStore() override;

  Result<Snapshot> prepare(const std::string& ref, const ProgressFunction& progress,
                           Cancellation* cancellation) override;
  std::optional<Snapshot> local_snapshot(const ObjectId& commit) override;
  std::shared_ptr<void> start_background(const Snapshot& snapshot, bool prefetch, BackgroundListener listener) override;
  TreeIndex& index() override { return *index_; }
  BlobStore& blobs() override { return *blobs_; }
  ObjectStore& objects() override { return object_store_; }
  std::filesystem::path git_directory() const override { return directory_ / "git"; }
  const RemoteUrl& remote() const override { return remote_; }
  std::optional<Credential> credential() override { return transport_->credential(); }
  void forget_credential(const Credential& refused) override { transport_->forget_credential(refused); }
  StoreStatus status() override;
  void shutdown() override;

 private:
  struct Tip;
  struct Background;

  Result<std::vector<RemoteRef>> list_refs(Cancellation* cancellation);
  bool is_local(const ObjectId& tip, const ObjectId& commit);
  Result<void> fetch_tip(const Tip& tip, const ProgressFunction& progress, Cancellation* cancellation);
  Result<void> fetch_tip_with_git(const Tip& tip);
  Result<void> import_from_database(const ObjectId& commit);
  Result<ObjectId> peel(ObjectId oid);
  Result<Snapshot> snapshot_of(const ObjectId& commit);
  void use_git_program(std::string why);

  /// Wants the tips of all refs that are not local, tips only. Returns the refs that are local then.
  Result<std::vector<RefRow>> fetch_all_tips(Cancellation& cancellation);
  /// False when the server does not offer sizes, or did not know them all.
  Result<bool> fetch_all_sizes(const ObjectId& tree, Cancellation& cancellation);
  Result<std::vector<ObjectId>> add_shallow(std::span<const ObjectId> added, std::span<const ObjectId> removed)
      EXCLUDES(shallow_mutex_);
  std::vector<ObjectId> read_shallow();

  // Constant after construction.
  const std::filesystem::path directory_;
  const RemoteUrl remote_;
  const std::unique_ptr<TreeIndex> index_;
  const std::unique_ptr<BlobStore> blobs_;
  const std::unique_ptr<Git2ObjectDatabase> database_;
  const std::unique_ptr<Transport> transport_;
  ProtocolClient client_;
  GitProgram git_program_;

  Mutex shallow_mutex_;
  Mutex state_mutex_;
  std::string limitation_ GUARDED_BY(state_mutex_);

  CacheSink sink_;
  StoreObjectSource source_;
  ObjectFetcher fetcher_;
  WorkerPool pool_;  // its last jobs may still ask the fetcher
  CachedObjectStore object_store_;
};

}  // namespace artifactfs
