#include "workdir/base_workdir.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "workdir/unsaved_work.h"
#include "workdir/writable_workdir.h"

namespace artifactfs {

namespace {

constexpr size_t kSizesPerLookup = 128;  // entries of a directory whose sizes are looked up together

Error not_a_file(InodeNumber inode) {
  return {ErrorCode::invalid_argument, "cannot read inode " + std::to_string(inode), "not a file"};
}

}  // namespace

BaseFilesOptions base_files_options(const Snapshot& snapshot, const WorkdirOptions& options) {
  return {options.owner, base_timestamp(snapshot.committer_time, options.directory), options.fetch_timeout,
          "gitdir: " + (options.directory / "git").string() + "\n"};
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): shared ownership is taken
BaseWorkdir::BaseWorkdir(std::shared_ptr<Store> store, const Snapshot& snapshot, const WorkdirOptions& options)
    : life_(store, snapshot, options),
      base_(store->index(), store->objects(), snapshot.tree, base_files_options(snapshot, options)),
      entries_(base_.tree().entries().value_or(0)) {}

Result<Attributes> BaseWorkdir::lookup(InodeNumber parent, std::string_view name) {
  if (parent == kRootInode && name == kGitfileName) return base_.gitfile_attributes();
  TRY_ASSIGN(const BaseEntry directory, base_.tree().find(parent));
  TRY_ASSIGN(const auto tree, base_.tree().tree_of(directory));
  const auto position = tree == nullptr ? std::nullopt : tree->find(name);
  if (!position) return fail(ErrorCode::not_found, "cannot find '" + std::string(name) + "'", "no such entry");
  return base_.attributes_now(BaseTree::child(tree, *position, parent));
}

Ticket BaseWorkdir::getattr(InodeNumber inode, Completion<Attributes> done) {
  if (inode == kGitfileInode) {
    done(base_.gitfile_attributes());
    return nullptr;
  }
  auto entry = base_.tree().find(inode);
  if (!entry || is_directory(entry->kind)) {
    done(entry ? base_.directory_attributes(*entry) : fail(entry.error()));
    return nullptr;
  }
  const BaseEntry& found = *entry;
  return base_.size(found, [this, found, done = std::move(done)](Result<uint64_t> size_bytes) mutable {
    if (!size_bytes) return done(fail(size_bytes.error()));
    done(base_.attributes(found, *size_bytes));
  });
}

Result<void> BaseWorkdir::read_directory(InodeNumber inode, uint64_t cookie,
                                         const std::function<bool(const DirectoryEntry&)>& emit) {
  TRY_ASSIGN(const BaseEntry directory, base_.tree().find(inode));
  TRY_ASSIGN(const auto tree, base_.tree().tree_of(directory));
  auto emit_directory = [&](std::string_view name, InodeNumber number, uint64_t next) {
    Attributes attributes = base_.common_attributes(number);
    attributes.mode = S_IFDIR | 0755;
    return emit({name, attributes, next});
  };
  if (cookie < kDotCookie && !emit_directory(".", inode, kDotCookie)) return {};
  if (cookie < kDotDotCookie && !emit_directory("..", directory.parent, kDotDotCookie)) return {};
  if (cookie < kGitfileCookie && inode == kRootInode &&
      !emit({kGitfileName, base_.gitfile_attributes(), kGitfileCookie})) {
    return {};
  }
  if (tree == nullptr) return {};
  size_t position = cookie <= kFirstEntryCookie ? 0 : static_cast<size_t>(cookie - kFirstEntryCookie);
  while (position < tree->size()) {
    std::array<ObjectId, kSizesPerLookup> oids;
    const size_t count = std::min(kSizesPerLookup, tree->size() - position);
    for (size_t i = 0; i < count; ++i) oids[i] = tree->entry(position + i).oid;
    const auto sizes = base_.objects().sizes_now(std::span(oids).first(count));
    for (size_t i = 0; i < count; ++i, ++position) {
      const TreeEntry raw = tree->entry(position);
      const BaseEntry entry = BaseTree::child(tree, position, inode);
      DirectoryEntry out{raw.name, {}, kFirstEntryCookie + position + 1};
      if (is_directory(entry.kind)) {
        TRY_ASSIGN(out.attributes, base_.directory_attributes(entry));
      } else {
        out.attributes = base_.attributes(entry, sizes[i]);
      }
      if (!emit(out)) return {};
    }
  }
  return {};
}

Ticket BaseWorkdir::readlink(InodeNumber inode, Completion<std::string> done) {
  const auto entry = base_.tree().find(inode);
  if (!entry || entry->kind != EntryKind::symlink) {
    done(fail(entry ? not_a_file(inode) : entry.error()));
    return nullptr;
  }
  return base_.readlink(entry->oid, std::move(done));
}

Ticket BaseWorkdir::read(InodeNumber inode, uint64_t offset, size_t size, Completion<ReadData> done) {
  if (inode == kGitfileInode) {
    done(base_.read_gitfile(offset, size));
    return nullptr;
  }
  const auto entry = base_.tree().find(inode);
  if (!entry || (entry->kind != EntryKind::file && entry->kind != EntryKind::executable)) {
    done(fail(entry ? not_a_file(inode) : entry.error()));
    return nullptr;
  }
  return base_.read(entry->oid, offset, size, std::move(done));
}

Result<std::string> BaseWorkdir::getxattr(InodeNumber inode, std::string_view name) {
  if (name == "security.selinux" || name.starts_with("system.posix_acl_")) {
    return fail(ErrorCode::not_supported, "cannot read attribute '" + std::string(name) + "'", "not supported");
  }
  const bool is_oid = name == "user.artifactfs.oid";
  if ((is_oid || name == "user.artifactfs.state") && inode != kGitfileInode) {
    TRY_ASSIGN(const BaseEntry entry, base_.tree().find(inode));
    return is_oid ? entry.oid.hex() : base_.state(entry);
  }
  return fail(ErrorCode::no_attribute, "cannot read attribute '" + std::string(name) + "'", "no such attribute");
}

Result<std::vector<std::string>> BaseWorkdir::listxattr(InodeNumber inode) {
  if (inode == kGitfileInode) return std::vector<std::string>{};
  TRY(base_.tree().find(inode));
  return std::vector<std::string>{"user.artifactfs.oid", "user.artifactfs.state"};
}

Result<ChangedPaths> BaseWorkdir::changes_since(std::string_view token) {
  const std::string now = "read-only:" + life_.snapshot().commit.hex();
  return ChangedPaths{now, token != now, {}};
}

WorkdirStatus BaseWorkdir::status() {
  WorkdirStatus status = life_.status();
  status.files = entries_;
  status.blocked_readers = base_.blocked_readers();
  return status;
}

Result<std::vector<std::string>> BaseWorkdir::unsaved_work() {
  const auto& options = life_.options();
  if (::access((options.directory / "overlay.db").c_str(), F_OK) != 0) {
    return all_unsaved_work(life_.git_directory(), options.owner, nullptr);
  }
  TRY_ASSIGN(const auto writable, WritableWorkdir::open(life_.shared_store(), life_.snapshot(), options));
  return writable->unsaved_work();
}

}  // namespace artifactfs
