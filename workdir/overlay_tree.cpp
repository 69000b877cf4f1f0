#include "workdir/overlay_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <tuple>
#include <utility>

#include "base/log.h"
#include "workdir/overlay_change.h"

namespace artifactfs {

namespace {

constexpr uint64_t kAddedCookie = uint64_t{1} << 32;  // + the dentry's row
constexpr InodeNumber kReserveInodes = 4096;          // numbers made ours by one row of meta
constexpr std::string_view kNextInodeKey = "next_inode";

std::unexpected<Error> no_entry(std::string_view name) {
  return fail(ErrorCode::not_found, "cannot find '" + std::string(name) + "'", "no such entry");
}
std::unexpected<Error> no_inode(InodeNumber inode) {
  return fail(ErrorCode::not_found, "cannot find inode " + std::to_string(inode), "no such inode");
}
bool is_base_number(InodeNumber inode) { return inode < kGitfileInode; }

}  // namespace

bool InodeView::is_directory() const { return row ? S_ISDIR(row->mode) : base && artifactfs::is_directory(base->kind); }
bool InodeView::is_regular() const { return S_ISREG(row ? row->mode : base ? mode_of(base->kind) : 0); }

// ---- life

Result<std::unique_ptr<OverlayTree>> OverlayTree::open(const BaseFiles& base, const std::filesystem::path& directory) {
  TRY_ASSIGN(auto db, OverlayDb::open(directory / "overlay.db"));
  TRY_ASSIGN(auto journal, ChangeJournal::open(*db));
  TRY_ASSIGN(auto reserve, open_file(directory / "reserve", O_RDWR | O_CREAT));
  auto tree =
      std::unique_ptr<OverlayTree>(new OverlayTree(base, std::move(db), std::move(journal), std::move(reserve)));
  tree->refill_reserve();
  MutexLock lock(tree->mutex_);
  TRY(tree->load());
  return tree;
}

OverlayTree::OverlayTree(const BaseFiles& base, std::unique_ptr<OverlayDb> db, ChangeJournal journal, UniqueFd reserve)
    : base_(base),
      db_(std::move(db)),
      reserve_(std::move(reserve)),
      state_([this](InodeNumber parent, std::string_view name) { return base_name(parent, name); }),
      journal_(std::move(journal)) {}

Result<void> OverlayTree::load() {
  OverlayDb::Loader loader;
  loader.inode = [this](InodeNumber inode, InodeRow row) REQUIRES(mutex_) {
    next_inode_ = std::max(next_inode_, inode + 1);
    state_.put_inode(inode, std::move(row));
  };
  loader.dentry = [this](const DentryRow& row) REQUIRES(mutex_) { state_.put_dentry(row); };
  loader.xattr = [this](const XattrRow& row) REQUIRES(mutex_) { state_.put_xattr(row); };
  TRY(db_->load(loader));
  TRY_ASSIGN(const auto reserved, db_->value(kNextInodeKey));
  if (reserved) {
    InodeNumber number = 0;
    std::from_chars(reserved->data(), reserved->data() + reserved->size(), number);
    next_inode_ = std::max(next_inode_, number);
  }
  reserved_inodes_ = next_inode_;
  next_row_ = state_.next_dentry_row();
  return {};
}

void OverlayTree::refill_reserve() {
  // A full disk is no error: what is missing is the reserve, and the next checkpoint tries again.
  (void)::fallocate(reserve_.get(), 0, 0, static_cast<off_t>(kReserveBytes));
}

Result<void> OverlayTree::commit(OverlayEdit& edit, bool frees) {
  // Rows of orphans that the kernel forgot: they are in nobody's way, and cheapest in a transaction that runs anyway.
  const size_t own = edit.delete_inodes.size();
  edit.delete_inodes.insert(edit.delete_inodes.end(), forgotten_.begin(), forgotten_.end());
  auto committed = db_->commit(edit);
  if (!committed && committed.error().code == ErrorCode::no_space && frees) {
    (void)::ftruncate(reserve_.get(), 0);
    committed = db_->commit(edit);
  }
  if (!committed) {
    journal_.discard();
    return committed;
  }
  edit.delete_inodes.resize(own);  // the forgotten have no nodes
  forgotten_.clear();
  state_.apply(edit);
  if (!edit.journal.empty()) journal_.trim();
  return {};
}

Timestamp OverlayTree::now() {
  // The clock that ext4 stamps files with, so that directories and files order as they would there.
  struct timespec ts {};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &ts);
  const Timestamp time{ts.tv_sec, static_cast<uint32_t>(ts.tv_nsec)};
  const auto order = [](const Timestamp& t) { return std::tuple(t.seconds, t.nanoseconds); };
  if (order(time) > order(last_time_)) last_time_ = time;
  return last_time_;
}

Result<InodeNumber> OverlayTree::allocate() {
  MutexLock lock(mutex_);
  if (next_inode_ >= reserved_inodes_) {
    TRY(db_->put_value(kNextInodeKey, std::to_string(next_inode_ + kReserveInodes)));
    reserved_inodes_ = next_inode_ + kReserveInodes;
  }
  return next_inode_++;
}

uint64_t OverlayTree::changed_inodes() {
  MutexLock lock(mutex_);
  return state_.nodes().size();
}

// ---- the base below

Result<std::shared_ptr<const Tree>> OverlayTree::base_tree(InodeNumber directory) const {
  if (!is_base_number(directory)) return nullptr;
  TRY_ASSIGN(const BaseEntry entry, base_.tree().find(directory));
  return base_.tree().tree_of(entry);
}

OverlayState::BaseName OverlayTree::base_name(InodeNumber parent, std::string_view name) const {
  const auto tree = base_tree(parent);
  const auto position = tree && *tree != nullptr ? (*tree)->find(name) : std::nullopt;
  if (!position) return OverlayState::BaseName::none;
  return artifactfs::is_directory((*tree)->entry(*position).kind) ? OverlayState::BaseName::directory
                                                                  : OverlayState::BaseName::file;
}

InodeRow OverlayTree::base_row(const BaseEntry& entry) const {
  const BaseFilesOptions& options = base_.options();
  InodeRow row;
  row.mode = mode_of(entry.kind);
  row.uid = options.owner.uid;
  row.gid = options.owner.gid;
  row.at_base_position = true;
  row.data = artifactfs::is_directory(entry.kind) ? DataSource::none : DataSource::base;
  row.base_oid = entry.oid;
  row.atime = row.mtime = row.ctime = {options.timestamp, 0};
  return row;
}

// ---- looking

Result<InodeView> OverlayTree::view(InodeNumber inode) {
  InodeView view;
  view.inode = inode;
  view.commit = db_->commits();
  if (const auto* node = state_.node(inode)) {
    view.row = node->row;
    if (const auto* directory = state_.directory(inode)) view.subdirectories = directory->subdirectories;
    return view;
  }
  if (!is_base_number(inode)) return no_inode(inode);
  TRY_ASSIGN(view.base, base_.tree().find(inode));
  return view;
}

Result<InodeView> OverlayTree::find(InodeNumber inode) {
  MutexLock lock(mutex_);
  return view(inode);
}

Result<InodeView> OverlayTree::lookup(InodeNumber parent, std::string_view name) {
  if (name.size() > Filesystem::kNameMaxBytes) {
    return fail(ErrorCode::name_too_long, "cannot find '" + std::string(name) + "'", "the name is too long");
  }
  // What the base has is found before the lock is taken.
  std::optional<BaseEntry> in_base;
  if (is_base_number(parent)) {
    TRY_ASSIGN(const BaseEntry directory, base_.tree().find(parent));
    TRY_ASSIGN(const auto tree, base_.tree().tree_of(directory));
    if (const auto position = tree == nullptr ? std::nullopt : tree->find(name)) {
      in_base = BaseTree::child(tree, *position, parent);
    }
  }
  MutexLock lock(mutex_);
  if (const auto* dentry = state_.dentry(parent, name)) {
    if (dentry->inode == 0) return no_entry(name);
    ++lookups_[dentry->inode];
    return view(dentry->inode);
  }
  if (!in_base) {
    TRY(check_directory(parent));
    return no_entry(name);
  }
  if (const auto* node = state_.node(parent); node != nullptr && node->row.links == 0) return no_entry(name);
  ++lookups_[in_base->inode];
  if (state_.node(in_base->inode) != nullptr) return view(in_base->inode);
  InodeView untouched;
  untouched.inode = in_base->inode;
  untouched.base = std::move(in_base);
  return untouched;
}

Result<void> OverlayTree::check_directory(InodeNumber inode) {
  const auto* node = state_.node(inode);
  if (node == nullptr) {
    TRY_ASSIGN(const InodeView untouched, view(inode));
    if (untouched.is_directory()) return {};
  } else if (S_ISDIR(node->row.mode)) {
    if (node->row.links == 0) return no_inode(inode);  // removed
    return {};
  }
  return fail(ErrorCode::not_directory, "cannot look into inode " + std::to_string(inode), "not a directory");
}

Result<OverlayTree::Slot> OverlayTree::slot(InodeNumber parent, std::string_view name) {
  TRY(check_directory(parent));
  Slot slot{parent, name, 0, false, state_.dentry(parent, name), false};
  if (slot.dentry != nullptr) {
    slot.inode = slot.dentry->inode;
    slot.directory = slot.dentry->directory;
    slot.in_base = slot.dentry->base != OverlayState::BaseName::none;
    return slot;
  }
  TRY_ASSIGN(const auto tree, base_tree(parent));
  if (const auto position = tree == nullptr ? std::nullopt : tree->find(name)) {
    const BaseEntry entry = BaseTree::child(tree, *position, parent);
    slot.inode = entry.inode;
    slot.directory = artifactfs::is_directory(entry.kind);
    slot.in_base = true;
  }
  return slot;
}

Result<OverlayTree::Listing> OverlayTree::list(InodeNumber inode, uint64_t cookie) {
  TRY_ASSIGN(const auto tree, base_tree(inode));
  MutexLock lock(mutex_);
  Listing listing;
  if (const auto* node = state_.node(inode); node != nullptr && node->row.links == 0) {
    listing.parent = inode;
    listing.end = true;
    return listing;
  }
  TRY(check_directory(inode));
  const auto at = inode == kRootInode ? std::nullopt : position(inode);
  listing.parent = at ? at->first : kRootInode;
  listing.next_cookie = cookie;

  const size_t base_count = tree == nullptr ? 0 : tree->size();
  size_t next =
      cookie <= kFirstEntryCookie ? 0 : static_cast<size_t>(std::min(cookie, kAddedCookie) - kFirstEntryCookie);
  const auto* directory = state_.directory(inode);
  for (size_t examined = 0; next < base_count && examined < kListedAtOnce; ++examined, ++next) {
    BaseEntry entry = BaseTree::child(tree, next, inode);
    const TreeEntry raw = tree->entry(next);
    listing.next_cookie = kFirstEntryCookie + next + 1;
    const auto* dentry = directory == nullptr ? nullptr : state_.dentry(inode, raw.name);
    if (dentry != nullptr && dentry->inode == 0) continue;
    const InodeNumber number = dentry == nullptr ? entry.inode : dentry->inode;
    InodeView found;
    found.inode = number;
    if (state_.node(number) != nullptr) {
      TRY_ASSIGN(found, view(number));
    } else {
      found.base = std::move(entry);
    }
    listing.entries.push_back({std::string(raw.name), std::move(found), listing.next_cookie});
  }
  if (next < base_count) return listing;
  if (directory != nullptr) {
    const uint64_t after = cookie > kAddedCookie ? cookie - kAddedCookie : 0;
    for (auto added = directory->added.upper_bound(after); added != directory->added.end(); ++added) {
      if (listing.entries.size() >= kListedAtOnce) return listing;
      TRY_ASSIGN(InodeView found, view(directory->names.find(added->second)->second.inode));
      listing.next_cookie = kAddedCookie + added->first;
      listing.entries.push_back({std::string(added->second), std::move(found), listing.next_cookie});
    }
  }
  listing.end = true;
  return listing;
}

std::optional<std::pair<InodeNumber, std::string>> OverlayTree::base_position(InodeNumber inode) const {
  if (!is_base_number(inode) || inode == kRootInode) return std::nullopt;
  const auto entry = base_.tree().find(inode);
  if (!entry || entry->directory == nullptr) return std::nullopt;
  const auto index = entry->directory->find_rank(inode - entry->parent);
  if (!index) return std::nullopt;
  return std::pair{entry->parent, std::string(entry->directory->entry(*index).name)};
}

std::optional<std::pair<InodeNumber, std::string>> OverlayTree::position(InodeNumber inode) {
  if (const auto* node = state_.node(inode)) {
    if (!node->links.empty()) return std::pair{node->links[0].parent, std::string(node->links[0].name)};
    if (!node->row.at_base_position) return std::nullopt;
  }
  return base_position(inode);
}

Result<bool> OverlayTree::is_within(InodeNumber inode, InodeNumber directory) {
  while (inode != directory) {
    if (inode == kRootInode) return false;
    const auto at = position(inode);
    if (!at) return no_inode(inode);
    inode = at->first;
  }
  return true;
}

Result<bool> OverlayTree::is_empty(InodeNumber directory) {
  TRY_ASSIGN(const auto tree, base_tree(directory));
  const size_t base_count = tree == nullptr ? 0 : tree->size();
  const auto* changed = state_.directory(directory);
  if (changed == nullptr) return base_count == 0;
  return changed->names.size() == changed->whiteouts && changed->whiteouts == base_count;
}

// ---- lookups that the kernel holds

void OverlayTree::remember(InodeNumber inode) {
  MutexLock lock(mutex_);
  ++lookups_[inode];
}

OverlayTree::Gone OverlayTree::forget(InodeNumber inode, uint64_t count) {
  MutexLock lock(mutex_);
  const auto found = lookups_.find(inode);
  if (found == lookups_.end()) return std::nullopt;
  if (found->second > count) {
    found->second -= count;
    return std::nullopt;
  }
  lookups_.erase(found);
  const auto* node = state_.node(inode);
  if (node == nullptr || node->row.links != 0) return std::nullopt;
  const bool upper = node->row.data == DataSource::upper;
  state_.erase_inode(inode);
  forgotten_.push_back(inode);
  if (forgotten_.size() >= kListedAtOnce) {
    OverlayEdit edit;
    if (auto removed = commit(edit, true); !removed) log::warning("{}", removed.error().text());
  }
  return upper ? Gone(inode) : std::nullopt;
}

// ---- extended attributes

Result<std::optional<std::string>> OverlayTree::xattr(InodeNumber inode, std::string_view name) {
  MutexLock lock(mutex_);
  const auto* node = state_.node(inode);
  if (node == nullptr || node->xattrs == nullptr) return std::nullopt;
  const auto found = node->xattrs->find(name);
  if (found == node->xattrs->end()) return std::nullopt;
  return found->second;
}

std::vector<std::string> OverlayTree::xattrs(InodeNumber inode) {
  MutexLock lock(mutex_);
  std::vector<std::string> names;
  const auto* node = state_.node(inode);
  if (node == nullptr || node->xattrs == nullptr) return names;
  for (const auto& [name, value] : *node->xattrs) names.push_back(name);
  return names;
}

// ---- the journal

Result<uint64_t> OverlayTree::content_will_change(InodeNumber inode) {
  MutexLock lock(mutex_);
  if (!journal_.is_content_recorded(inode)) {
    OverlayEdit edit;
    journal_.record(edit, {inode, std::nullopt, false});
    TRY(commit(edit));
  }
  return journal_.generation();
}

void OverlayTree::content_changed(InodeNumber inode, uint64_t generation) {
  MutexLock lock(mutex_);
  if (journal_.generation() == generation || journal_.is_content_recorded(inode)) return;
  OverlayEdit edit;
  journal_.record(edit, {inode, std::nullopt, false});
  if (auto recorded = commit(edit); !recorded) {
    log::warning("{}", recorded.error().text());
    journal_.invalidate();
  }
}

std::optional<std::string> OverlayTree::path_of_directory(InodeNumber inode) {
  std::string path;
  while (inode != kRootInode) {
    const auto at = position(inode);
    if (!at) return std::nullopt;
    path.insert(0, at->second + "/");
    inode = at->first;
  }
  return path;
}

std::unordered_set<InodeNumber> OverlayTree::changed_directories() {
  constexpr size_t kInodesAtOnce = 256;  // under one hold of the lock
  std::unordered_set<InodeNumber> changed;
  const auto add = [&](InodeNumber directory) REQUIRES(mutex_) {
    while (changed.insert(directory).second && directory != kRootInode) {
      const auto at = position(directory);
      if (!at) return;  // removed
      directory = at->first;
    }
  };
  MutexLock lock(mutex_);
  std::vector<InodeNumber> inodes;
  inodes.reserve(state_.nodes().size() + state_.directories().size());
  for (const auto& [inode, node] : state_.nodes()) inodes.push_back(inode);
  for (const auto& [inode, directory] : state_.directories()) inodes.push_back(inode);
  for (size_t i = 0; i < inodes.size(); ++i) {
    if (i % kInodesAtOnce == kInodesAtOnce - 1) {
      lock.unlock();
      lock.lock();
    }
    if (state_.directory(inodes[i]) != nullptr) add(inodes[i]);
    const auto* node = state_.node(inodes[i]);
    if (node == nullptr) continue;
    for (const auto& link : node->links) add(link.parent);
    if (!node->row.at_base_position) continue;
    if (const auto at = base_position(inodes[i])) add(at->first);
  }
  return changed;
}

void OverlayTree::add_paths(const JournalRow& row, std::vector<std::string>& paths) {
  const auto add = [&](InodeNumber parent, std::string_view name) REQUIRES(mutex_) {
    // A directory that has been removed since is in the journal itself, with all that was below it.
    if (auto path = path_of_directory(parent)) paths.push_back(*path + std::string(name) + (row.directory ? "/" : ""));
  };
  if (row.name) return add(row.inode, *row.name);
  if (row.inode == kRootInode) return;
  const auto* node = state_.node(row.inode);
  if (node != nullptr) {
    for (const auto& link : node->links) add(link.parent, link.name);
  }
  if (node == nullptr || node->row.at_base_position) {
    if (const auto at = base_position(row.inode)) add(at->first, at->second);
  }
}

Result<ChangedPaths> OverlayTree::changes_since(std::string_view token) {
  constexpr size_t kRowsAtOnce = 256;  // under one hold of the lock
  ChangedPaths out;
  MutexLock lock(mutex_);
  const auto since = journal_.parse(token);
  out.token = journal_.hand_out();
  out.everything = !since;
  if (!since) return out;
  const int64_t up_to = db_->last_journal_seq();
  for (int64_t seq = *since; seq < up_to;) {
    TRY_ASSIGN(auto rows, db_->journal_between(seq, up_to, kRowsAtOnce));
    for (const JournalRow& row : rows.first) add_paths(row, out.paths);
    seq = rows.second;
    if (rows.first.size() < kRowsAtOnce) break;
    lock.unlock();
    lock.lock();
  }
  lock.unlock();
  std::sort(out.paths.begin(), out.paths.end());
  out.paths.erase(std::unique(out.paths.begin(), out.paths.end()), out.paths.end());
  return out;
}

}  // namespace artifactfs
