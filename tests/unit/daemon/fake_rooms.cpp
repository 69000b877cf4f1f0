#include "tests/unit/daemon/fake_rooms.h"

#include <cstdlib>
#include <thread>

namespace artifactfs::test {

namespace {

namespace fs = std::filesystem;

Error not_in_a_fake() { return {ErrorCode::not_supported, "cannot do this", "a fake"}; }

class FakeStore : public Store {
 public:
  FakeStore(FakeWorld& world, fs::path directory, RemoteUrl remote)
      : world_(world), directory_(std::move(directory)), remote_(std::move(remote)) {
    ++world_.stores;
    ++world_.stores_opened;
    fs::create_directories(directory_ / "git");
  }
  ~FakeStore() override { --world_.stores; }

  Result<Snapshot> prepare(const std::string& ref, const ProgressFunction& progress,
                           Cancellation* cancellation) override {
    ++world_.prepares;
    progress("asking the server");
    while (world_.hold_prepare) {
      world_.holding = true;
      if (cancellation->cancelled()) return fail(ErrorCode::cancelled, "cannot fetch", "cancelled");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    TRY(world_.step("prepare"));
    if (ref == "no-such-ref")
      return fail(ErrorCode::not_found, "cannot find '" + ref + "'", "the server has no such ref");
    Snapshot snapshot;
    snapshot.commit = fake_commit();
    snapshot.branch = ref.empty() ? "main" : ref;
    snapshot.ref = "refs/heads/" + snapshot.branch;
    return snapshot;
  }
  std::optional<Snapshot> local_snapshot(const ObjectId& commit) override {
    if (!world_.knows_commit) return std::nullopt;
    Snapshot snapshot;
    snapshot.commit = commit;
    return snapshot;
  }
  std::shared_ptr<void> start_background(const Snapshot&, bool, BackgroundListener listener) override {
    listener.refs({}, {});
    listener.sizes();
    return nullptr;
  }
  TreeIndex& index() override { std::abort(); }
  BlobStore& blobs() override { std::abort(); }
  ObjectStore& objects() override { std::abort(); }
  fs::path git_directory() const override { return directory_ / "git"; }
  const RemoteUrl& remote() const override { return remote_; }
  StoreStatus status() override {
    StoreStatus status;
    status.display_url = remote_.display();
    status.transport.requests = 3;
    return status;
  }
  void shutdown() override {}

 private:
  FakeWorld& world_;
  const fs::path directory_;
  const RemoteUrl remote_;
};

class FakeWorkdir : public Workdir {
 public:
  FakeWorkdir(FakeWorld& world, Snapshot snapshot, WorkdirOptions options)
      : world_(world), snapshot_(std::move(snapshot)), options_(std::move(options)) {
    ++world_.workdirs;
    fs::create_directories(options_.directory / "git");
  }
  ~FakeWorkdir() override { --world_.workdirs; }

  WorkdirStatus status() override { return {"ready", snapshot_.commit, snapshot_.branch, 7, 0}; }
  void add_refs(const std::vector<RefRow>&, const std::vector<ObjectId>&) override {}
  fs::path git_directory() const override { return options_.directory / "git"; }
  Result<std::vector<std::string>> unsaved_work() override { return world_.unsaved(); }
  Result<ChangedPaths> changes_since(std::string_view) override { return ChangedPaths{}; }

  Result<Attributes> lookup(InodeNumber, std::string_view) override { return fail(not_in_a_fake()); }
  Ticket getattr(InodeNumber, Completion<Attributes> done) override { return refuse(std::move(done)); }
  Result<void> read_directory(InodeNumber, uint64_t, const std::function<bool(const DirectoryEntry&)>&) override {
    return fail(not_in_a_fake());
  }
  Ticket readlink(InodeNumber, Completion<std::string> done) override { return refuse(std::move(done)); }
  Ticket read(InodeNumber, uint64_t, size_t, Completion<ReadData> done) override { return refuse(std::move(done)); }
  Result<std::string> getxattr(InodeNumber, std::string_view) override { return fail(not_in_a_fake()); }
  Result<std::vector<std::string>> listxattr(InodeNumber) override { return fail(not_in_a_fake()); }
  Result<FilesystemStats> statfs() override { return fail(not_in_a_fake()); }
  void forget(InodeNumber, uint64_t) override {}

 private:
  template <typename T>
  static Ticket refuse(Completion<T> done) {
    done(fail(not_in_a_fake()));
    return nullptr;
  }

  FakeWorld& world_;
  const Snapshot snapshot_;
  const WorkdirOptions options_;
};

class FakeGitServices : public GitServices {
 public:
  Result<void> mounted(dev_t) override { return {}; }
  void fill_in_sizes() override {}
};

class FakeSession : public FuseSession {
 public:
  explicit FakeSession(FakeWorld& world) : world_(world) { ++world_.sessions; }
  ~FakeSession() override { --world_.sessions; }
  Result<void> unmount(bool lazy) override {
    if (world_.busy && !lazy) return fail(ErrorCode::busy, "cannot unmount", "busy");
    return {};
  }
  FuseSessionStats stats() const override { return {}; }
  void invalidate_inode(InodeNumber) override {}
  void invalidate_entry(InodeNumber, std::string) override {}

 private:
  FakeWorld& world_;
};

}  // namespace

ObjectId fake_commit() { return *ObjectId::from_hex("1234567890123456789012345678901234567890"); }

void FakeWorld::fail_next(const std::string& step, ErrorCode code) {
  MutexLock lock(mutex_);
  failures_[step] = code;
}

void FakeWorld::set_unsaved(std::vector<std::string> work) {
  MutexLock lock(mutex_);
  unsaved_ = std::move(work);
}

std::vector<std::string> FakeWorld::unsaved() const {
  MutexLock lock(mutex_);
  return unsaved_;
}

void FakeWorld::set_session(const std::string& directory, std::function<void()> on_end) {
  MutexLock lock(mutex_);
  on_end_[directory] = std::move(on_end);
}

void FakeWorld::end_session(const std::string& directory) {
  std::function<void()> on_end;
  {
    MutexLock lock(mutex_);
    on_end = on_end_[directory];
  }
  on_end();
}

Result<void> FakeWorld::step(const std::string& name) {
  MutexLock lock(mutex_);
  const auto failure = failures_.find(name);
  if (failure == failures_.end()) return {};
  const ErrorCode code = failure->second;
  failures_.erase(failure);
  return fail(code, "cannot " + name, "told to fail");
}

Rooms FakeWorld::rooms() {
  Rooms rooms;
  rooms.store_id = [](const RemoteUrl& remote) {
    return "store-" + std::to_string(std::hash<std::string>{}(remote.canonical()));
  };
  rooms.open_store = [this](const fs::path& directory, const RemoteUrl& remote,
                            const TransportContext&) -> Result<std::shared_ptr<Store>> {
    fs::create_directories(directory);  // what a store that fails half-way has made
    TRY(step("open_store"));
    return std::make_shared<FakeStore>(*this, directory, remote);
  };
  rooms.open_workdir = [this](const std::shared_ptr<Store>&, const Snapshot& snapshot,
                              const WorkdirOptions& options) -> Result<std::unique_ptr<Workdir>> {
    TRY(step("open_workdir"));
    return std::make_unique<FakeWorkdir>(*this, snapshot, options);
  };
  rooms.mount_session = [this](const fs::path& directory, const FuseOptions& options, Filesystem&,
                               std::function<void()> on_end) -> Result<std::unique_ptr<FuseSession>> {
    TRY(step("mount_session"));
    if (!options.extra.empty()) {
      return fail(ErrorCode::invalid_argument, "cannot use the mount option '" + options.extra.front() + "'",
                  "unknown");
    }
    set_session(directory.string(), std::move(on_end));
    return std::make_unique<FakeSession>(*this);
  };
  rooms.start_git_services = [this](const GitServicesSpec&, Store&, Workdir&) -> Result<std::unique_ptr<GitServices>> {
    TRY(step("start_git_services"));
    return std::make_unique<FakeGitServices>();
  };
  return rooms;
}

}  // namespace artifactfs::test
