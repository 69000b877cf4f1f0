#include "daemon/mounted_tree.h"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "base/log.h"
#include "daemon/mount_target.h"

namespace artifactfs {

namespace {

namespace fs = std::filesystem;

gid_t primary_group(uid_t user) {
  std::array<char, 4096> buffer;
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found);
  // A user without an entry gets a group of the same number, never the daemon's own.
  return found != nullptr ? found->pw_gid : static_cast<gid_t>(user);
}

// The control socket is open to the daemon's own user (and root) alone, so whoever asks is that user.
Result<UserIds> owner_of(const control::MountOptions& options) {
  const UserIds self{::geteuid(), ::getegid()};
  UserIds owner = self;
  if (options.uid) owner = {*options.uid, *options.uid == self.uid ? self.gid : primary_group(*options.uid)};
  if (options.gid) owner.gid = *options.gid;
  if (self.uid != 0 && owner != self) {
    return fail(ErrorCode::permission_denied, "cannot mount with another user's ids",
                "only root may; leave out -o uid= and gid=");
  }
  return owner;
}

WorkdirOptions workdir_options(const MountPlan& plan) {
  return {plan.workspace,
          plan.record.directory,
          plan.owner,
          plan.record.options.fetch_timeout,
          plan.record.options.prefetch,
          plan.record.options.read_only};
}

std::string shown_ref(const MountRecord& record) {
  if (!record.ref.empty()) return record.ref;
  return record.branch.empty() ? "HEAD" : record.branch;
}

Result<void> check_resumable(const control::MountRequest& request, const std::string& store_id, const RemoteUrl& remote,
                             const MountRecord& kept) {
  const std::string sentence = "cannot mount '" + remote.display() + "' on '" + request.directory + "'";
  const std::string way_out = "; `artifactfs remove " + request.directory + "` deletes it";
  if (kept.directory != request.directory) {
    return fail(ErrorCode::corrupt, sentence, "its workspace belongs to '" + kept.directory + "'");
  }
  if (kept.store != store_id) {
    const std::string which =
        kept.remote == remote.display() ? "this remote as another account" : "'" + kept.remote + "'";
    return fail(ErrorCode::already_exists, sentence,
                "a workspace of " + which + " is kept for this directory" + way_out);
  }
  const bool same_ref = request.ref.empty() || request.ref == kept.ref || request.ref == kept.branch ||
                        request.ref == kept.resolved_ref || request.ref == kept.commit.hex();
  if (!same_ref) {
    return fail(ErrorCode::already_exists, sentence,
                "a workspace of '" + shown_ref(kept) + "' is kept for this directory; mount it with --ref " +
                    shown_ref(kept) + way_out);
  }
  return {};
}

// The commit of the first mount, offline if it is local; a workspace's base never changes by itself.
Result<Snapshot> snapshot_of(const MountPlan& plan, Store& store, const ProgressFunction& progress,
                             Cancellation* cancellation) {
  const MountRecord& record = plan.record;
  if (plan.is_new) return store.prepare(record.ref, progress, cancellation);
  auto local = store.local_snapshot(record.commit);
  if (!local) {
    TRY_ASSIGN(local, store.prepare(record.commit.hex(), progress, cancellation));
  }
  local->branch = record.branch;
  local->ref = record.resolved_ref;
  return std::move(*local);
}

Result<void> check_not_cancelled(const Cancellation& cancellation) {
  if (cancellation.cancelled()) return fail(ErrorCode::cancelled, "", "cancelled");
  return {};
}

}  // namespace

Result<MountPlan> plan_mount(const control::MountRequest& request, const fs::path& mounts, const Rooms& rooms) {
  MountPlan plan;
  TRY_ASSIGN(plan.remote, RemoteUrl::parse(request.remote, request.working_directory));
  if (plan.remote.scheme == RemoteScheme::local) TRY(check_local_remote(plan.remote.path));
  TRY_ASSIGN(plan.owner, owner_of(request.options));
  plan.context = {without_git_variables(request.environment), plan.owner, "/"};
  plan.workspace = mounts / mount_id_of(request.directory);
  const std::string store_id = rooms.store_id(plan.remote);
  TRY_ASSIGN(auto kept, read_mount_record(plan.workspace));
  if (kept) {
    TRY(check_resumable(request, store_id, plan.remote, *kept));
    plan.is_new = false;
    plan.record = std::move(*kept);
  } else {
    plan.record.directory = request.directory;
    plan.record.remote = plan.remote.display();
    plan.record.store = store_id;
    plan.record.ref = request.ref;
  }
  plan.record.options = request.options;
  return plan;
}

Result<MountPlan> plan_recovery(const std::string& mount_id, const MountRecord& record, const fs::path& mounts) {
  MountPlan plan;
  TRY_ASSIGN(plan.remote, RemoteUrl::parse(record.remote));
  TRY_ASSIGN(plan.owner, owner_of(record.options));
  plan.context = {without_git_variables(current_environment()), plan.owner, "/"};
  plan.workspace = mounts / mount_id;
  plan.record = record;
  plan.is_new = false;
  return plan;
}

Result<std::shared_ptr<MountedTree>> MountedTree::bring_up(const MountPlan& plan, StoreTable& stores,
                                                           const Rooms& rooms, const ProgressFunction& progress,
                                                           Cancellation& cancellation, std::function<void()> on_end) {
  auto tree = std::make_shared<MountedTree>();
  const auto built = tree->build(plan, stores, rooms, progress, cancellation, std::move(on_end));
  if (built) {
    stores.keep(plan.record.store);
    return tree;
  }
  tree.reset();
  if (plan.is_new) {
    if (auto deleted = delete_workspace(plan.workspace); !deleted) log::warning("{}", deleted.error().text());
  }
  stores.drop_if_unused(plan.record.store);
  return fail(built.error().within("cannot mount '" + plan.record.remote + "' on '" + plan.record.directory + "'"));
}

Result<void> MountedTree::build(const MountPlan& plan, StoreTable& stores, const Rooms& rooms,
                                const ProgressFunction& progress, Cancellation& cancellation,
                                std::function<void()> on_end) {
  record_ = plan.record;
  log::debug("mounting '{}' on '{}'", record_.remote, record_.directory);
  TRY_ASSIGN(store_, stores.open(record_.store, plan.remote, plan.context));
  TRY_ASSIGN(const Snapshot snapshot, snapshot_of(plan, *store_, progress, &cancellation));
  log::debug("'{}': the snapshot is there", record_.directory);
  TRY(check_not_cancelled(cancellation));
  record_.commit = snapshot.commit;
  record_.branch = snapshot.branch;
  record_.resolved_ref = snapshot.ref;
  // Before there is anything of the user's in the workspace, so that it never stands without its description.
  TRY(write_mount_record(plan.workspace, record_));
  TRY_ASSIGN(workdir_, rooms.open_workdir(store_, snapshot, workdir_options(plan)));
  TRY(check_not_cancelled(cancellation));

  log::debug("'{}': the workdir is there", record_.directory);
  FuseOptions options;
  options.source = plan.record.remote;
  options.read_only = record_.options.read_only;
  options.allow_other = record_.options.allow_other;
  options.extra = record_.options.extra;
  TRY_ASSIGN(session_, rooms.mount_session(record_.directory, options, *workdir_, std::move(on_end)));
  TRY(check_not_cancelled(cancellation));
  log::debug("'{}': mounted", record_.directory);
  background_ = store_->start_background(
      snapshot, record_.options.prefetch,
      [workdir = workdir_.get()](const auto& refs, const auto& shallow) { workdir->add_refs(refs, shallow); });
  return {};
}

control::MountStatus MountedTree::status(const std::string& mount_id) const {
  const WorkdirStatus workdir = workdir_->status();
  const StoreStatus store = store_->status();
  control::MountStatus status;
  status.directory = record_.directory;
  status.remote = record_.remote;
  status.phase = workdir.phase;
  status.mount_id = mount_id;
  status.ref = record_.ref;
  status.commit = workdir.commit.hex();
  status.branch = workdir.branch;
  status.files = workdir.files;
  status.limitation = store.limitation;
  status.last_error = store.last_error;
  status.blocked_readers = workdir.blocked_readers;
  status.requests = store.transport.requests;
  status.bytes_received = store.transport.bytes_received;
  status.kernel_requests = session_->stats().requests;
  status.cache = {store.blobs.blobs, store.blobs.content_bytes, store.blobs.disk_bytes};
  status.git_directory = workdir_->git_directory().string();
  status.options = record_.options;
  return status;
}

Result<std::vector<std::string>> unsaved_work_of(const MountPlan& plan, StoreTable& stores, const Rooms& rooms) {
  TRY_ASSIGN(auto store, stores.open(plan.record.store, plan.remote, plan.context));
  auto snapshot = store->local_snapshot(plan.record.commit);
  if (!snapshot) {
    return fail(ErrorCode::not_found, "cannot open its commit " + plan.record.commit.hex(),
                "the store of '" + plan.record.remote + "' does not have it any more");
  }
  TRY_ASSIGN(auto workdir, rooms.open_workdir(store, *snapshot, workdir_options(plan)));
  return workdir->unsaved_work();
}

}  // namespace artifactfs
