#include "workdir/writable_workdir.h"

#include <sys/stat.h>

#include <algorithm>
#include <climits>
#include <tuple>
#include <utility>

#include "base/log.h"
#include "workdir/base_workdir.h"
#include "workdir/unsaved_work.h"

namespace artifactfs {

namespace {

constexpr uint64_t kBlockBytes = 512;
constexpr std::string_view kUserPrefix = "user.", kOurPrefix = "user.artifactfs.";
constexpr size_t kFindingsLogged = 20;

std::unexpected<Error> gitfile_refused() {
  return fail(ErrorCode::permission_denied, "cannot change '.git'", "it belongs to the mount");
}
std::unexpected<Error> not_a_file(InodeNumber inode) {
  return fail(ErrorCode::invalid_argument, "cannot read inode " + std::to_string(inode), "not a file");
}
Timestamp from_timespec(const struct timespec& time) { return {time.tv_sec, static_cast<uint32_t>(time.tv_nsec)}; }
bool is_later(const Timestamp& a, const Timestamp& b) {
  return std::tuple(a.seconds, a.nanoseconds) > std::tuple(b.seconds, b.nanoseconds);
}

void log_findings(const std::vector<OverlayFinding>& findings, const std::filesystem::path& directory) {
  for (size_t i = 0; i < findings.size() && i < kFindingsLogged; ++i) {
    log::warning("overlay '{}': {}{}", directory.string(), findings[i].text, findings[i].repaired ? " (repaired)" : "");
  }
  if (findings.size() > kFindingsLogged) {
    log::warning("overlay '{}': and {} findings more", directory.string(), findings.size() - kFindingsLogged);
  }
}

}  // namespace

// ---- life

// NOLINTNEXTLINE(performance-unnecessary-value-param): shared ownership is taken
WritableWorkdir::WritableWorkdir(std::shared_ptr<Store> store, const Snapshot& snapshot, const WorkdirOptions& options)
    : life_(store, snapshot, options),
      base_(store->index(), store->objects(), snapshot.tree, base_files_options(snapshot, options)),
      entries_(base_.tree().entries().value_or(0)) {}

Result<std::unique_ptr<WritableWorkdir>> WritableWorkdir::open(std::shared_ptr<Store> store, const Snapshot& snapshot,
                                                               const WorkdirOptions& options) {
  TRY(make_directories(options.directory));
  auto workdir = std::unique_ptr<WritableWorkdir>(new WritableWorkdir(std::move(store), snapshot, options));
  TRY(workdir->open_overlay());
  return workdir;
}

Result<void> WritableWorkdir::open_overlay() {
  const auto& directory = life_.options().directory;
  TRY_ASSIGN(const auto findings, check_overlay(directory, true));
  log_findings(findings, directory);
  TRY_ASSIGN(tree_, OverlayTree::open(base_, directory));
  TRY_ASSIGN(upper_, UpperFiles::open(directory / "upper"));
  checkpointer_ = std::make_unique<OverlayCheckpointer>(*tree_);
  disk_ = std::make_unique<WorkerPool>("overlay-disk", kDiskThreads);
  copy_ups_ = std::make_unique<CopyUps>(base_, *tree_, *upper_, *disk_);
  return {};
}

WorkdirStatus WritableWorkdir::status() {
  WorkdirStatus status = life_.status();
  status.files = entries_;
  status.blocked_readers = base_.blocked_readers();
  return status;
}

Result<std::vector<std::string>> WritableWorkdir::unsaved_work() {
  const auto& options = life_.options();
  const UnsavedFilesSources files{base_,
                                  *tree_,
                                  *upper_,
                                  life_.store().index(),
                                  options.directory,
                                  life_.git_directory(),
                                  life_.store().git_directory() / "objects",
                                  options.owner};
  return all_unsaved_work(life_.git_directory(), options.owner, &files);
}

// ---- attributes

Result<BaseEntry> WritableWorkdir::base_entry(const InodeView& view) const {
  if (view.base) return *view.base;
  return base_.tree().find(view.inode);
}

Result<Attributes> WritableWorkdir::attributes(const InodeView& view) {
  if (!view.row) return base_.attributes_now(*view.base);
  const InodeRow& row = *view.row;
  Attributes out;
  out.inode = view.inode;
  out.mode = row.mode;
  out.links = row.links;
  out.uid = row.uid;
  out.gid = row.gid;
  out.device = row.device;
  out.atime = row.atime;
  out.mtime = row.mtime;
  out.ctime = row.ctime;
  if (S_ISDIR(row.mode)) {
    uint64_t below = 0;
    if (view.inode < kGitfileInode) {
      TRY_ASSIGN(const BaseEntry entry, base_entry(view));
      TRY_ASSIGN(below, base_.subdirectories(entry));
    }
    out.size_bytes = kDirectoryBytes;
    if (row.links != 0) out.links = static_cast<uint32_t>(2 + static_cast<int64_t>(below) + view.subdirectories);
  } else if (row.data == DataSource::upper) {
    TRY_ASSIGN(const struct stat st, upper_->stat(view.inode));
    out.size_bytes = static_cast<uint64_t>(st.st_size);
    out.blocks = static_cast<uint64_t>(st.st_blocks);
    out.atime = from_timespec(st.st_atim);
    out.mtime = from_timespec(st.st_mtim);
    if (const Timestamp changed = from_timespec(st.st_ctim); is_later(changed, out.ctime)) out.ctime = changed;
    return out;
  } else if (row.data == DataSource::base) {
    const auto size_bytes = base_.objects().size_now(row.base_oid);
    out.size_known = size_bytes.has_value();
    out.size_bytes = size_bytes.value_or(0);
  } else {
    out.size_bytes = row.target.size();
  }
  out.blocks = (out.size_bytes + kBlockBytes - 1) / kBlockBytes;
  return out;
}

Result<Attributes> WritableWorkdir::attributes_of(const Result<InodeView>& view) {
  if (!view) return fail(view.error());
  return attributes(*view);
}

Result<Attributes> WritableWorkdir::lookup(InodeNumber parent, std::string_view name) {
  if (parent == kRootInode && name == kGitfileName) return base_.gitfile_attributes();
  return attributes_of(tree_->lookup(parent, name));
}

Ticket WritableWorkdir::getattr(InodeNumber inode, Completion<Attributes> done) {
  if (inode == kGitfileInode) {
    done(base_.gitfile_attributes());
    return nullptr;
  }
  const auto view = tree_->find(inode);
  auto known = attributes_of(view);
  if (!known || known->size_known) {
    done(std::move(known));
    return nullptr;
  }
  const auto entry = base_entry(*view);
  if (!entry) {
    done(fail(entry.error()));
    return nullptr;
  }
  return base_.size(*entry, [this, inode, done = std::move(done)](Result<uint64_t> size_bytes) mutable {
    if (!size_bytes) return done(fail(size_bytes.error()));
    // Much may have happened meanwhile; the size is known now, so this look has it or the file's own.
    done(attributes_of(tree_->find(inode)));
  });
}

// ---- directories

Result<void> WritableWorkdir::read_directory(InodeNumber inode, uint64_t cookie,
                                             const std::function<bool(const DirectoryEntry&)>& emit) {
  const bool from_start = cookie < kFirstEntryCookie;
  uint64_t next = std::max(cookie, kFirstEntryCookie);
  for (bool first = true;; first = false) {
    TRY_ASSIGN(const auto listing, tree_->list(inode, next));
    if (first && from_start) {
      const auto emit_directory = [&](std::string_view name, InodeNumber number, uint64_t behind) {
        Attributes attributes = base_.common_attributes(number);
        attributes.mode = S_IFDIR | 0755;
        return emit({name, attributes, behind});
      };
      if (cookie < kDotCookie && !emit_directory(".", inode, kDotCookie)) return {};
      if (cookie < kDotDotCookie && !emit_directory("..", listing.parent, kDotDotCookie)) return {};
      if (cookie < kGitfileCookie && inode == kRootInode &&
          !emit({kGitfileName, base_.gitfile_attributes(), kGitfileCookie})) {
        return {};
      }
    }
    // Sizes of untouched files are looked up together.
    std::vector<ObjectId> oids;
    for (const auto& entry : listing.entries) {
      if (!entry.view.row && !entry.view.is_directory()) oids.push_back(entry.view.base->oid);
    }
    const auto sizes = oids.empty() ? std::vector<std::optional<uint64_t>>{} : base_.objects().sizes_now(oids);
    size_t sized = 0;
    for (const auto& entry : listing.entries) {
      const bool untouched_file = !entry.view.row && !entry.view.is_directory();
      auto found = untouched_file ? base_.attributes(*entry.view.base, sizes[sized++]) : attributes(entry.view);
      if (!found && found.error().code == ErrorCode::not_found) continue;  // removed since it was listed
      if (!found) return fail(found.error());
      if (!emit({entry.name, *found, entry.next_cookie})) return {};
    }
    if (listing.end) return {};
    next = listing.next_cookie;
  }
}

// ---- reading

Ticket WritableWorkdir::readlink(InodeNumber inode, Completion<std::string> done) {
  const auto view = tree_->find(inode);
  const uint32_t mode = !view ? 0 : view->row ? view->row->mode : mode_of(view->base->kind);
  if (!S_ISLNK(mode)) {
    done(view ? not_a_file(inode) : fail(view.error()));
    return nullptr;
  }
  if (view->row && view->row->data == DataSource::none) {
    done(view->row->target);
    return nullptr;
  }
  return base_.readlink(view->row ? view->row->base_oid : view->base->oid, std::move(done));
}

Ticket WritableWorkdir::read(InodeNumber inode, uint64_t offset, size_t size, Completion<ReadData> done) {
  if (inode == kGitfileInode) {
    done(base_.read_gitfile(offset, size));
    return nullptr;
  }
  const auto view = tree_->find(inode);
  if (!view || !view->is_regular()) {
    done(view ? not_a_file(inode) : fail(view.error()));
    return nullptr;
  }
  if (!view->row || view->row->data == DataSource::base) {
    return base_.read(view->row ? view->row->base_oid : view->base->oid, offset, size, std::move(done));
  }
  const auto file = upper_->file(inode);
  if (!file) {
    done(fail(file.error()));
    return nullptr;
  }
  ReadData data;
  data.bytes = std::make_unique_for_overwrite<std::byte[]>(size);
  const auto got = pread_some((*file)->get(), {data.bytes.get(), size}, offset);
  if (got) data.size = *got;
  done(got ? Result<ReadData>(std::move(data)) : fail(got.error()));
  return nullptr;
}

// ---- extended attributes

Result<std::string> WritableWorkdir::getxattr(InodeNumber inode, std::string_view name) {
  const std::string sentence = "cannot read attribute '" + std::string(name) + "'";
  if (name == "security.selinux" || name.starts_with("system.posix_acl_")) {
    return fail(ErrorCode::not_supported, sentence, "not supported");
  }
  const auto absent = [&] { return fail(ErrorCode::no_attribute, sentence, "no such attribute"); };
  if (inode == kGitfileInode || !name.starts_with(kUserPrefix)) return absent();
  if (!name.starts_with(kOurPrefix)) {
    TRY_ASSIGN(auto value, tree_->xattr(inode, name));
    if (!value) return absent();
    return std::move(*value);
  }
  TRY_ASSIGN(const InodeView view, tree_->find(inode));
  const bool is_base = inode < kGitfileInode && !(view.row && view.row->data == DataSource::upper);
  if (name == "user.artifactfs.state" && !is_base) return "modified";
  if (!is_base) return absent();
  TRY_ASSIGN(const BaseEntry entry, base_entry(view));
  if (name == "user.artifactfs.oid") return entry.oid.hex();
  if (name == "user.artifactfs.state") return base_.state(entry);
  return absent();
}

Result<std::vector<std::string>> WritableWorkdir::listxattr(InodeNumber inode) {
  if (inode == kGitfileInode) return std::vector<std::string>{};
  return tree_->xattrs(inode);
}

Result<void> WritableWorkdir::setxattr(InodeNumber inode, std::string_view name, std::string_view value,
                                       XattrMode mode) {
  if (inode == kGitfileInode) return gitfile_refused();
  const std::string sentence = "cannot set attribute '" + std::string(name) + "'";
  if (name.starts_with(kOurPrefix)) return fail(ErrorCode::permission_denied, sentence, "it belongs to the mount");
  if (!name.starts_with(kUserPrefix)) return fail(ErrorCode::not_supported, sentence, "only user.* is supported");
  if (name == kUserPrefix) return fail(ErrorCode::invalid_argument, sentence, "it needs a name");
  if (name.size() > kNameMaxBytes) return fail(ErrorCode::out_of_range, sentence, "the name is too long");
  return tree_->set_xattr(inode, name, value, mode);
}

Result<void> WritableWorkdir::removexattr(InodeNumber inode, std::string_view name) {
  if (inode == kGitfileInode) return gitfile_refused();
  const std::string sentence = "cannot remove attribute '" + std::string(name) + "'";
  if (name.starts_with(kOurPrefix)) return fail(ErrorCode::permission_denied, sentence, "it belongs to the mount");
  if (!name.starts_with(kUserPrefix)) return fail(ErrorCode::no_attribute, sentence, "no such attribute");
  return tree_->set_xattr(inode, name, std::nullopt, XattrMode::any);
}

// ---- names

Result<Attributes> WritableWorkdir::make_file(const Caller& caller, std::optional<InodeNumber> named_in,
                                              InodeNumber parent, std::string_view name, uint32_t mode) {
  // The file first, then the row: what a crash leaves between is an orphan in upper/, which the next start removes.
  TRY_ASSIGN(const InodeNumber inode, tree_->allocate());
  TRY(upper_->create(inode));
  InodeRow row;
  row.mode = S_IFREG | (mode & 07777);
  row.data = DataSource::upper;
  auto made = named_in ? tree_->create(caller, *named_in, name, inode, std::move(row))
                       : tree_->create_nameless(caller, parent, inode, std::move(row));
  if (!made) (void)upper_->remove(inode);
  return attributes_of(made);
}

Result<Attributes> WritableWorkdir::mknod(const Caller& caller, InodeNumber parent, std::string_view name,
                                          uint32_t mode, uint64_t device) {
  TRY(tree_->may_create(parent, name));
  if ((mode & S_IFMT) == 0 || S_ISREG(mode)) return make_file(caller, parent, parent, name, mode);
  if (S_ISDIR(mode) || S_ISLNK(mode)) {
    return fail(ErrorCode::invalid_argument, "cannot make '" + std::string(name) + "'", "not a kind that mknod makes");
  }
  TRY_ASSIGN(const InodeNumber inode, tree_->allocate());
  InodeRow row;
  row.mode = mode;
  row.device = device;
  return attributes_of(tree_->create(caller, parent, name, inode, std::move(row)));
}

Result<Attributes> WritableWorkdir::mkdir(const Caller& caller, InodeNumber parent, std::string_view name,
                                          uint32_t mode) {
  TRY(tree_->may_create(parent, name));
  TRY_ASSIGN(const InodeNumber inode, tree_->allocate());
  InodeRow row;
  row.mode = S_IFDIR | (mode & 07777);
  return attributes_of(tree_->create(caller, parent, name, inode, std::move(row)));
}

Result<Attributes> WritableWorkdir::symlink(const Caller& caller, InodeNumber parent, std::string_view name,
                                            std::string_view target) {
  if (target.size() >= PATH_MAX) {
    return fail(ErrorCode::name_too_long, "cannot make '" + std::string(name) + "'", "the target is too long");
  }
  if (target.empty()) return fail(ErrorCode::not_found, "cannot make '" + std::string(name) + "'", "no target");
  TRY(tree_->may_create(parent, name));
  TRY_ASSIGN(const InodeNumber inode, tree_->allocate());
  InodeRow row;
  row.mode = S_IFLNK | 0777;
  row.target = target;
  return attributes_of(tree_->create(caller, parent, name, inode, std::move(row)));
}

Result<Attributes> WritableWorkdir::link(InodeNumber inode, InodeNumber new_parent, std::string_view new_name) {
  if (inode == kGitfileInode) return gitfile_refused();
  return attributes_of(tree_->link(inode, new_parent, new_name));
}

Result<Attributes> WritableWorkdir::tmpfile(const Caller& caller, InodeNumber parent, uint32_t mode) {
  return make_file(caller, std::nullopt, parent, "", mode);
}

void WritableWorkdir::remove_data(const OverlayTree::Gone& gone) {
  if (!gone) return;
  const auto remove = [this, inode = *gone] {
    if (auto removed = upper_->remove(inode); !removed) log::warning("{}", removed.error().text());
  };
  const auto st = upper_->stat(*gone);
  if (st && static_cast<uint64_t>(st->st_size) > kInlineRemoveBytes) {
    disk_->submit(remove);
  } else {
    remove();
  }
}

Result<void> WritableWorkdir::unlink(InodeNumber parent, std::string_view name) {
  TRY_ASSIGN(const auto gone, tree_->unlink(parent, name));
  remove_data(gone);
  return {};
}

Result<void> WritableWorkdir::rmdir(InodeNumber parent, std::string_view name) { return tree_->rmdir(parent, name); }

Result<void> WritableWorkdir::rename(InodeNumber parent, std::string_view name, InodeNumber new_parent,
                                     std::string_view new_name, RenameMode mode) {
  TRY_ASSIGN(const auto gone, tree_->rename(parent, name, new_parent, new_name, mode));
  remove_data(gone);
  return {};
}

void WritableWorkdir::remember(InodeNumber inode) {
  if (inode != kGitfileInode) tree_->remember(inode);
}

void WritableWorkdir::forget(InodeNumber inode, uint64_t count) { remove_data(tree_->forget(inode, count)); }

}  // namespace artifactfs
