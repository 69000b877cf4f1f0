#include "daemon/mount_table.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.h"
#include "daemon/mount_holders.h"
#include "daemon/mount_info.h"
#include "daemon/mount_target.h"
#include "workdir/gitdir.h"

namespace artifactfs {

namespace {

namespace fs = std::filesystem;

void record_unmounted(const fs::path& workspace, MountRecord record) {
  if (!record.mounted) return;
  record.mounted = false;
  if (auto written = write_mount_record(workspace, record); !written) log::warning("{}", written.error().text());
}

}  // namespace

MountTable::MountTable(const StateDirectory& state, Rooms rooms, std::function<void()> on_change)
    : state_(state),
      rooms_(std::move(rooms)),
      on_change_(std::move(on_change)),
      stores_(state.stores(), rooms_),
      reaper_("mount-reaper", 1) {
  finish_deletions(state.mounts());
}

MountTable::~MountTable() { shutdown(); }

Result<MountTable::Claim> MountTable::claim(const std::string& directory, State state, control::MountStatus shown,
                                            Cancellation* cancellation, bool recovered) {
  static constexpr auto verb = [](State s) {
    return s == State::mounting ? "mount on" : s == State::removing ? "remove" : "unmount";
  };
  const std::string sentence = std::string("cannot ") + verb(state) + " '" + directory + "'";
  MutexLock lock(mutex_);
  while (is_being_recovered(directory)) settled_.wait(lock);
  // An unmount is soon over, and a script that has just run umount knows of none.
  const auto deadline = Clock::system().now() + kUnmountWait;
  const auto is_unmounting = [this, &directory]() NO_THREAD_SAFETY_ANALYSIS {
    const auto entry = entries_.find(directory);
    return entry != entries_.end() && entry->second.state == State::unmounting;
  };
  while (is_unmounting() && settled_.wait_until(lock, deadline)) {
  }
  if (stopping_) return fail(ErrorCode::unavailable, sentence, "the daemon is ending");
  if (const auto found = entries_.find(directory); found != entries_.end()) {
    switch (found->second.state) {
      case State::mounting:
        return fail(ErrorCode::busy, sentence, "it is just being mounted");
      case State::unmounting:
        return fail(ErrorCode::busy, sentence, "it is just being unmounted");
      case State::removing:
        return fail(ErrorCode::busy, sentence, "it is just being removed");
      case State::mounted:
        if (state == State::mounting) {
          return fail(ErrorCode::already_exists, sentence,
                      "'" + found->second.tree->record().remote + "' is already mounted there");
        }
        break;
      case State::failed:
        break;
    }
  }
  Entry& entry = entries_[directory];
  entry.state = state;
  entry.shown = std::move(shown);
  entry.cancellation = cancellation;
  entry.recovered = recovered;
  if (state == State::mounting) {
    entry.generation = ++last_generation_;
    entry.kernel_ended = false;
  }
  return Claim{entry.generation, entry.tree};
}

bool MountTable::is_being_recovered(const std::string& directory) const {
  const auto found = entries_.find(directory);
  return found != entries_.end() && found->second.state == State::mounting && found->second.recovered;
}

std::optional<control::MountStatus> MountTable::take_recovered(const std::string& directory,
                                                               const std::string& store_id, const std::string& ref) {
  std::shared_ptr<MountedTree> tree;
  {
    MutexLock lock(mutex_);
    while (is_being_recovered(directory)) settled_.wait(lock);
    const auto found = entries_.find(directory);
    if (found == entries_.end() || found->second.state != State::mounted || !found->second.recovered) return {};
    const MountRecord& record = found->second.tree->record();
    if (record.store != store_id || record.ref != ref) return {};
    found->second.recovered = false;
    tree = found->second.tree;
  }
  return tree->status(mount_id_of(directory));
}

void MountTable::settle(const std::string& directory) {
  {
    MutexLock lock(mutex_);
    Entry& entry = entries_[directory];
    entry.cancellation = nullptr;
    if (entry.tree == nullptr) {
      entries_.erase(directory);
    } else {
      entry.state = State::mounted;
      if (entry.kernel_ended) {
        reaper_.submit([this, directory, generation = entry.generation] { kernel_ended(directory, generation); });
      }
    }
    settled_.notify_all();
  }
  on_change_();
}

void MountTable::set_tree(const std::string& directory, std::shared_ptr<MountedTree> tree) {
  MutexLock lock(mutex_);
  entries_[directory].tree = std::move(tree);
}

void MountTable::drop_tree(const std::string& directory) {
  std::shared_ptr<MountedTree> dropped;  // destroyed without the lock: it joins threads
  MutexLock lock(mutex_);
  Entry& entry = entries_[directory];
  entry.shown = unmounted_status(mount_id_of(directory), entry.tree->record(), state_.mounts());
  entry.shown.phase = "unmounting";
  dropped = std::move(entry.tree);
}

Result<std::shared_ptr<MountedTree>> MountTable::bring_up(const MountPlan& plan, uint64_t generation,
                                                          const ProgressFunction& progress,
                                                          Cancellation& cancellation) {
  const std::string& directory = plan.record.directory;
  TRY(detach_stale_mount(directory));
  TRY(check_mount_target(directory, state_.root()));
  return MountedTree::bring_up(plan, stores_, rooms_, progress, cancellation, [this, directory, generation] {
    reaper_.submit([this, directory, generation] { kernel_ended(directory, generation); });
  });
}

Result<control::MountStatus> MountTable::mount(const control::MountRequest& request, Recovery recovery,
                                               const ProgressFunction& progress, Cancellation& cancellation) {
  const std::string& directory = request.directory;
  if (!control::is_utf8(directory) || !control::is_utf8(request.remote)) {
    return fail(ErrorCode::invalid_argument, "cannot mount on '" + directory + "'", "the names are not UTF-8");
  }
  TRY_ASSIGN(const RemoteUrl remote, RemoteUrl::parse(request.remote, request.working_directory));
  if (auto recovered = take_recovered(directory, rooms_.store_id(remote), request.ref)) return std::move(*recovered);
  control::MountStatus shown;
  shown.directory = directory;
  shown.remote = remote.display();
  shown.phase = "mounting";
  shown.mount_id = mount_id_of(directory);
  TRY_ASSIGN(const Claim claimed, claim(directory, State::mounting, std::move(shown), &cancellation));
  auto status = mount_claimed(request, claimed.generation, recovery, progress, cancellation);
  settle(directory);
  if (status) log::info("mounted '{}' on '{}' at {}", status->remote, directory, status->commit);
  return status;
}

Result<control::MountStatus> MountTable::mount_claimed(const control::MountRequest& request, uint64_t generation,
                                                       Recovery recovery, const ProgressFunction& progress,
                                                       Cancellation& cancellation) {
  TRY_ASSIGN(MountPlan plan, plan_mount(request, state_.mounts(), rooms_));
  plan.record.mounted = recovery == Recovery::yes;
  auto tree = bring_up(plan, generation, progress, cancellation);
  if (!tree) {
    if (!plan.is_new) record_unmounted(plan.workspace, plan.record);
    return fail(tree.error());
  }
  auto status = (*tree)->status(mount_id_of(request.directory));
  set_tree(request.directory, std::move(*tree));
  return status;
}

void MountTable::kernel_ended(const std::string& directory, uint64_t generation) {
  MountRecord record;
  {
    MutexLock lock(mutex_);
    const auto found = entries_.find(directory);
    if (found == entries_.end() || found->second.generation != generation) return;
    found->second.kernel_ended = true;  // whoever has claimed the entry now looks at this when it settles
    if (found->second.state != State::mounted) return;
    found->second.state = State::unmounting;
    record = found->second.tree->record();
  }
  log::info("'{}' was unmounted by somebody else", directory);
  record_unmounted(state_.mounts() / mount_id_of(directory), std::move(record));
  drop_tree(directory);
  settle(directory);
}

Result<void> MountTable::unmount_kept(const std::string& directory) {
  const fs::path workspace = state_.mounts() / mount_id_of(directory);
  TRY_ASSIGN(const auto kept, read_mount_record(workspace));
  TRY_ASSIGN(const auto mounts, read_mount_info());
  const bool was_up = kept && kept->mounted;
  if (kept) record_unmounted(workspace, *kept);
  TRY(detach_stale_mount(workspace / kProjectedObjectsName));
  if (mount_at(mounts, directory) != nullptr) {
    TRY(detach_stale_mount(directory));
    TRY_ASSIGN(const auto left, read_mount_info());
    if (mount_at(left, directory) == nullptr) return {};
    return fail(ErrorCode::not_found, "cannot unmount '" + directory + "'", "it is not a mount of this daemon");
  }
  if (was_up) return {};
  return fail(ErrorCode::not_found, "cannot unmount '" + directory + "'",
              kept ? "it is not mounted (its workspace is kept)" : "it is not mounted");
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): kept alive for the call
Result<void> MountTable::unmount_claimed(const std::string& directory, std::shared_ptr<MountedTree> tree,
                                         const char* verb, bool force) {
  const std::string sentence = std::string("cannot ") + verb + " '" + directory + "'";
  if (auto unmounted = tree->unmount(force); !unmounted) {
    if (unmounted.error().code != ErrorCode::busy) return fail(unmounted.error().within(sentence));
    return fail(ErrorCode::busy, sentence, describe_mount_holders(directory) + "; end that, or use --force");
  }
  record_unmounted(state_.mounts() / mount_id_of(directory), tree->record());
  return {};
}

Result<void> MountTable::unmount(const std::string& directory, bool force) {
  TRY_ASSIGN(Claim claimed, claim(directory, State::unmounting, {}, nullptr));
  Result<void> result;
  if (claimed.tree == nullptr) {
    result = unmount_kept(directory);
  } else {
    result = unmount_claimed(directory, std::move(claimed.tree), "unmount", force);
    if (result) drop_tree(directory);
  }
  settle(directory);
  if (result) log::info("unmounted '{}'", directory);
  return result;
}

Result<void> MountTable::check_saved(const std::string& directory, MountedTree* tree) {
  const std::string sentence = "cannot remove '" + directory + "'";
  const auto unsaved = [&]() -> Result<std::vector<std::string>> {
    if (tree != nullptr) return tree->unsaved_work();
    const std::string id = mount_id_of(directory);
    TRY_ASSIGN(const auto kept, read_mount_record(state_.mounts() / id));
    if (!kept) return std::vector<std::string>{};
    TRY_ASSIGN(const MountPlan plan, plan_recovery(id, *kept, state_.mounts()));
    return unsaved_work_of(plan, stores_, rooms_);
  }();
  if (!unsaved) {
    return fail(unsaved.error().code, sentence,
                "it cannot be seen whether all work in it is saved (" + unsaved.error().text() +
                    "); --force deletes it all the same");
  }
  if (unsaved->empty()) return {};
  std::string list;
  for (const auto& item : *unsaved) list += (list.empty() ? "" : "; ") + item;
  return fail(ErrorCode::not_empty, sentence, list + "; --force deletes it all the same");
}

Result<void> MountTable::remove_claimed(const std::string& directory, std::shared_ptr<MountedTree> tree, bool force) {
  const fs::path workspace = state_.mounts() / mount_id_of(directory);
  std::error_code error;
  if (tree == nullptr && !fs::exists(workspace, error)) {
    return fail(ErrorCode::not_found, "cannot remove '" + directory + "'", "there is no workspace of this directory");
  }
  if (!force) TRY(check_saved(directory, tree.get()));
  if (tree == nullptr) TRY(detach_stale_mount(directory));
  if (tree != nullptr) {
    TRY(unmount_claimed(directory, tree, "remove", force));
    // Once more: somebody may have worked on between the first look and the unmount.
    const auto saved = force ? Result<void>{} : check_saved(directory, tree.get());
    tree.reset();
    drop_tree(directory);
    TRY(saved);
  }
  return delete_workspace(workspace);
}

Result<void> MountTable::remove(const std::string& directory, bool force) {
  TRY_ASSIGN(Claim claimed, claim(directory, State::removing, {}, nullptr));
  auto removed = remove_claimed(directory, std::move(claimed.tree), force);
  settle(directory);
  if (removed) log::info("removed the workspace of '{}'", directory);
  return removed;
}

Result<control::GcReport> MountTable::collect_garbage() {
  return stores_.collect_garbage([this]() -> Result<std::set<std::string>> {
    std::set<std::string> referenced;
    for (const auto& workspace : list_workspaces(state_.mounts())) {
      if (!workspace.record) return fail(workspace.record.error().within("cannot tell which stores are needed"));
      referenced.insert(workspace.record->store);
    }
    return referenced;
  });
}

std::vector<control::MountStatus> MountTable::status() const {
  std::vector<control::MountStatus> all;
  std::vector<std::shared_ptr<MountedTree>> trees;
  std::set<std::string> seen;
  {
    MutexLock lock(mutex_);
    for (const auto& [directory, entry] : entries_) {
      if (entry.tree != nullptr) {
        trees.push_back(entry.tree);
      } else if (entry.shown.directory.empty()) {
        continue;  // claimed while it is not mounted: shown as kept
      } else {
        all.push_back(entry.shown);
      }
      seen.insert(mount_id_of(directory));
    }
  }
  for (const auto& tree : trees) all.push_back(tree->status(mount_id_of(tree->record().directory)));
  for (const auto& [mount_id, record] : list_workspaces(state_.mounts())) {
    if (!seen.contains(mount_id)) all.push_back(unmounted_status(mount_id, record, state_.mounts()));
  }
  std::ranges::sort(all, {}, &control::MountStatus::directory);
  return all;
}

void MountTable::start_recovery() {
  struct Pending {
    std::string mount_id;
    MountRecord record;
    uint64_t generation = 0;
    std::unique_ptr<Cancellation> cancellation;
  };
  std::vector<Pending> pending;
  for (auto& [mount_id, record] : list_workspaces(state_.mounts())) {
    if (!record) log::warning("{}", record.error().text());
    if (!record || !record->mounted) continue;
    auto cancellation = std::make_unique<Cancellation>();
    auto shown = unmounted_status(mount_id, record, state_.mounts());
    shown.phase = "mounting";
    const auto claimed = claim(record->directory, State::mounting, std::move(shown), cancellation.get(), true);
    if (!claimed) continue;
    pending.push_back({mount_id, std::move(*record), claimed->generation, std::move(cancellation)});
  }
  if (pending.empty()) return;
  {
    MutexLock lock(mutex_);
    recoveries_left_ = pending.size();
  }
  recovery_ = std::thread([this, pending = std::move(pending)] {
    set_thread_name("recovery");
    for (const auto& one : pending) {
      recover(one.mount_id, one.record, one.generation, *one.cancellation);
    }
  });
}

void MountTable::recover(const std::string& mount_id, const MountRecord& record, uint64_t generation,
                         Cancellation& cancellation) {
  auto tree = [&]() -> Result<std::shared_ptr<MountedTree>> {
    TRY_ASSIGN(const MountPlan plan, plan_recovery(mount_id, record, state_.mounts()));
    return bring_up(
        plan, generation, [](const std::string&) {}, cancellation);
  }();
  {
    MutexLock lock(mutex_);
    --recoveries_left_;
  }
  if (tree) {
    log::info("brought back '{}' on '{}'", record.remote, record.directory);
    set_tree(record.directory, std::move(*tree));
    settle(record.directory);
    return;
  }
  log::warning("cannot bring back the mount '{}': {}", record.directory, tree.error().text());
  {
    MutexLock lock(mutex_);
    Entry& entry = entries_[record.directory];
    entry.state = State::failed;
    entry.cancellation = nullptr;
    entry.shown.phase = "failed";
    entry.shown.last_error = tree.error().text();
    settled_.notify_all();
  }
  on_change_();
}

bool MountTable::recovering() const {
  MutexLock lock(mutex_);
  return recoveries_left_ > 0;
}

size_t MountTable::active() const {
  MutexLock lock(mutex_);
  return static_cast<size_t>(
      std::ranges::count_if(entries_, [](const auto& item) { return item.second.state != State::failed; }));
}

void MountTable::stop_tree(MountedTree& tree) const {
  auto unmounted = tree.unmount(false);
  if (!unmounted && unmounted.error().code == ErrorCode::busy) {
    const std::string& directory = tree.record().directory;
    log::warning("'{}' is still in use and is detached: {}", directory, describe_mount_holders(directory));
    unmounted = tree.unmount(true);
  }
  if (!unmounted) log::warning("{}", unmounted.error().text());
}

void MountTable::shutdown() {
  std::vector<std::shared_ptr<MountedTree>> trees;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    for (auto& [directory, entry] : entries_) {
      if (entry.cancellation != nullptr) entry.cancellation->cancel();
    }
    const auto is_settled = [](const auto& item) {
      return item.second.state == State::mounted || item.second.state == State::failed;
    };
    while (!std::ranges::all_of(entries_, is_settled)) settled_.wait(lock);
    for (auto& [directory, entry] : entries_) {
      if (entry.tree != nullptr) trees.push_back(std::move(entry.tree));
    }
    entries_.clear();
  }
  if (recovery_.joinable()) recovery_.join();
  // First let go whoever is blocked on the network: a mount with a blocked reader is busy.
  for (const auto& tree : trees) tree->stop_network();
  for (auto& tree : trees) {
    stop_tree(*tree);
    tree.reset();
  }
}

}  // namespace artifactfs
