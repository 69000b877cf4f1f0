#include "workdir/base_workdir.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "workdir/gitdir.h"

namespace artifactfs {

namespace {

constexpr std::string_view kGitfileName = ".git";
constexpr uint64_t kBlockBytes = 512;
constexpr uint64_t kDirectoryBytes = 4096;
constexpr size_t kSiblingsAtMost = 1000;
constexpr size_t kSizesPerLookup = 128;  // entries of a directory whose sizes are looked up together

// Cookies of read_directory; entry i of the base tree has kFirstEntryCookie + i, for ever.
constexpr uint64_t kDotCookie = 1, kDotDotCookie = 2, kGitfileCookie = 3, kFirstEntryCookie = 8;

uint32_t mode_of(EntryKind kind) {
  switch (kind) {
    case EntryKind::directory:
    case EntryKind::submodule:
      return S_IFDIR | 0755;
    case EntryKind::file:
      return S_IFREG | 0644;
    case EntryKind::executable:
      return S_IFREG | 0755;
    case EntryKind::symlink:
      return S_IFLNK | 0777;
  }
  return 0;
}

bool is_directory(EntryKind kind) { return kind == EntryKind::directory || kind == EntryKind::submodule; }

// At most now - 2 s: git takes an entry whose mtime is not older than its index for racy, and reads the file.
int64_t base_timestamp(int64_t committer_time) {
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return std::min<int64_t>(committer_time, now - 2);
}

Error not_a_file(InodeNumber inode) {
  return {ErrorCode::invalid_argument, "cannot read inode " + std::to_string(inode), "not a file"};
}

}  // namespace

// Counts a reader that waits, for as long as its completion lives.
class BaseWorkdir::Blocked {
 public:
  explicit Blocked(std::atomic<uint64_t>& count) : count_(&count) { ++*count_; }
  Blocked(Blocked&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  Blocked& operator=(Blocked&&) = delete;
  ~Blocked() {
    if (count_ != nullptr) --*count_;
  }

 private:
  std::atomic<uint64_t>* count_;
};

Result<std::unique_ptr<Workdir>> Workdir::open(std::shared_ptr<Store> store, const Snapshot& snapshot,
                                               const WorkdirOptions& options) {
  const auto gitdir = options.directory / "git";
  if (!is_gitdir(gitdir)) {
    GitdirSpec spec;
    spec.directory = gitdir;
    spec.store_objects = store->git_directory() / "objects";
    spec.remote_url = store->remote().display();
    spec.branch = snapshot.branch;
    spec.upstream_branch = snapshot.branch;
    spec.commit = snapshot.commit;
    spec.owner = options.owner;
    TRY(create_gitdir(spec, snapshot.local_refs, snapshot.shallow));
  }
  auto workdir = std::make_unique<BaseWorkdir>(std::move(store), snapshot, options);
  return workdir;
}

BaseWorkdir::BaseWorkdir(std::shared_ptr<Store> store, const Snapshot& snapshot, const WorkdirOptions& options)
    : store_(std::move(store)),
      snapshot_(snapshot),
      options_(options),
      gitfile_("gitdir: " + (options.directory / "git").string() + "\n"),
      timestamp_(base_timestamp(snapshot.committer_time)),
      base_(store_->index(), snapshot_.tree),
      entries_(base_.entries().value_or(0)) {}

// ---- attributes

Attributes BaseWorkdir::common_attributes(InodeNumber inode) const {
  Attributes attributes;
  attributes.inode = inode;
  attributes.uid = options_.owner.uid;
  attributes.gid = options_.owner.gid;
  attributes.atime = attributes.mtime = attributes.ctime = {timestamp_, 0};
  return attributes;
}

Attributes BaseWorkdir::attributes(const BaseEntry& entry, std::optional<uint64_t> size_bytes) const {
  Attributes attributes = common_attributes(entry.inode);
  attributes.mode = mode_of(entry.kind);
  attributes.size_known = size_bytes.has_value();
  attributes.size_bytes = size_bytes.value_or(0);
  attributes.blocks = (attributes.size_bytes + kBlockBytes - 1) / kBlockBytes;
  return attributes;
}

Result<Attributes> BaseWorkdir::directory_attributes(const BaseEntry& entry) const {
  TRY_ASSIGN(const auto tree, base_.tree_of(entry));
  Attributes attributes = this->attributes(entry, kDirectoryBytes);
  attributes.links = 2 + static_cast<uint32_t>(tree == nullptr ? 0 : tree->directories());
  return attributes;
}

Attributes BaseWorkdir::gitfile_attributes() const {
  Attributes attributes = common_attributes(kGitfileInode);
  attributes.mode = S_IFREG | 0644;
  attributes.size_bytes = gitfile_.size();
  attributes.blocks = 1;
  return attributes;
}

Result<Attributes> BaseWorkdir::lookup(InodeNumber parent, std::string_view name) {
  if (parent == kRootInode && name == kGitfileName) return gitfile_attributes();
  TRY_ASSIGN(const BaseEntry directory, base_.find(parent));
  TRY_ASSIGN(const auto tree, base_.tree_of(directory));
  const auto position = tree == nullptr ? std::nullopt : tree->find(name);
  if (!position) return fail(ErrorCode::not_found, "cannot find '" + std::string(name) + "'", "no such entry");
  const BaseEntry entry = BaseTree::child(tree, *position, parent);
  if (is_directory(entry.kind)) return directory_attributes(entry);
  return attributes(entry, store_->objects().size_now(entry.oid));
}

Ticket BaseWorkdir::getattr(InodeNumber inode, Completion<Attributes> done) {
  if (inode == kGitfileInode) {
    done(gitfile_attributes());
    return nullptr;
  }
  auto entry = base_.find(inode);
  if (!entry || is_directory(entry->kind)) {
    done(entry ? directory_attributes(*entry) : fail(entry.error()));
    return nullptr;
  }
  if (const auto known = store_->objects().size_now(entry->oid)) {
    done(attributes(*entry, known));
    return nullptr;
  }
  const ObjectId oid = entry->oid;
  const auto siblings = siblings_to_size(*entry);
  return store_->objects().size(oid, siblings, options_.fetch_timeout,
                                [this, entry = std::move(*entry), done = std::move(done),
                                 blocked = Blocked(blocked_readers_)](Result<uint64_t> size_bytes) mutable {
                                  if (!size_bytes) return done(fail(size_bytes.error()));
                                  done(attributes(entry, *size_bytes));
                                });
}

std::vector<ObjectId> BaseWorkdir::siblings_to_size(const BaseEntry& entry) {
  // One file may be all that is wanted (`cat file`); a second one in the same directory is a pattern (`ls -l`).
  if (last_sized_directory_.exchange(entry.parent) != entry.parent || entry.directory == nullptr) return {};
  std::vector<ObjectId> siblings;
  const Tree& tree = *entry.directory;
  for (size_t i = 0; i < tree.size() && siblings.size() < kSiblingsAtMost; ++i) {
    const TreeEntry sibling = tree.entry(i);
    if (!is_directory(sibling.kind)) siblings.push_back(sibling.oid);
  }
  return siblings;
}

// ---- directories

Result<void> BaseWorkdir::read_directory(InodeNumber inode, uint64_t cookie,
                                         const std::function<bool(const DirectoryEntry&)>& emit) {
  TRY_ASSIGN(const BaseEntry directory, base_.find(inode));
  TRY_ASSIGN(const auto tree, base_.tree_of(directory));
  auto emit_directory = [&](std::string_view name, InodeNumber number, uint64_t next) {
    Attributes attributes = common_attributes(number);
    attributes.mode = S_IFDIR | 0755;
    return emit({name, attributes, next});
  };
  if (cookie < kDotCookie && !emit_directory(".", inode, kDotCookie)) return {};
  if (cookie < kDotDotCookie && !emit_directory("..", directory.parent, kDotDotCookie)) return {};
  if (cookie < kGitfileCookie && inode == kRootInode && !emit({kGitfileName, gitfile_attributes(), kGitfileCookie})) {
    return {};
  }
  if (tree == nullptr) return {};
  size_t position = cookie <= kFirstEntryCookie ? 0 : static_cast<size_t>(cookie - kFirstEntryCookie);
  while (position < tree->size()) {
    std::array<ObjectId, kSizesPerLookup> oids;
    const size_t count = std::min(kSizesPerLookup, tree->size() - position);
    for (size_t i = 0; i < count; ++i) oids[i] = tree->entry(position + i).oid;
    const auto sizes = store_->objects().sizes_now(std::span(oids).first(count));
    for (size_t i = 0; i < count; ++i, ++position) {
      const TreeEntry raw = tree->entry(position);
      const BaseEntry entry = BaseTree::child(tree, position, inode);
      DirectoryEntry out{raw.name, {}, kFirstEntryCookie + position + 1};
      if (is_directory(entry.kind)) {
        TRY_ASSIGN(out.attributes, directory_attributes(entry));
      } else {
        out.attributes = attributes(entry, sizes[i]);
      }
      if (!emit(out)) return {};
    }
  }
  return {};
}

// ---- contents

Ticket BaseWorkdir::readlink(InodeNumber inode, Completion<std::string> done) {
  auto entry = base_.find(inode);
  if (!entry || entry->kind != EntryKind::symlink) {
    done(fail(entry ? not_a_file(inode) : entry.error()));
    return nullptr;
  }
  return store_->objects().read(entry->oid, 0, PATH_MAX, options_.fetch_timeout,
                                [done = std::move(done)](Result<ReadData> data) mutable {
                                  if (!data) return done(fail(data.error()));
                                  done(std::string(reinterpret_cast<const char*>(data->bytes.get()), data->size));
                                });
}

Ticket BaseWorkdir::read(InodeNumber inode, uint64_t offset, size_t size, Completion<ReadData> done) {
  if (inode == kGitfileInode) {
    ReadData data;
    data.size = offset >= gitfile_.size() ? 0 : std::min(size, gitfile_.size() - static_cast<size_t>(offset));
    data.bytes = std::make_unique_for_overwrite<std::byte[]>(data.size);
    if (data.size != 0) std::memcpy(data.bytes.get(), gitfile_.data() + offset, data.size);
    done(std::move(data));
    return nullptr;
  }
  const auto entry = base_.find(inode);
  if (!entry || (entry->kind != EntryKind::file && entry->kind != EntryKind::executable)) {
    done(fail(entry ? not_a_file(inode) : entry.error()));
    return nullptr;
  }
  return store_->objects().read(entry->oid, offset, size, options_.fetch_timeout,
                                [done = std::move(done), blocked = Blocked(blocked_readers_)](
                                    Result<ReadData> data) mutable { done(std::move(data)); });
}

// ---- extended attributes, statfs

Result<std::string> BaseWorkdir::getxattr(InodeNumber inode, std::string_view name) {
  if (name == "security.selinux" || name.starts_with("system.posix_acl_")) {
    return fail(ErrorCode::not_supported, "cannot read attribute '" + std::string(name) + "'", "not supported");
  }
  const bool is_oid = name == "user.artifactfs.oid";
  if ((is_oid || name == "user.artifactfs.state") && inode != kGitfileInode) {
    TRY_ASSIGN(const BaseEntry entry, base_.find(inode));
    if (is_oid) return entry.oid.hex();
    if (is_directory(entry.kind)) return "cached";  // all trees are local
    return store_->objects().is_cached(entry.oid) ? "cached" : "remote";
  }
  return fail(ErrorCode::no_attribute, "cannot read attribute '" + std::string(name) + "'", "no such attribute");
}

Result<std::vector<std::string>> BaseWorkdir::listxattr(InodeNumber inode) {
  if (inode == kGitfileInode) return std::vector<std::string>{};
  TRY(base_.find(inode));
  return std::vector<std::string>{"user.artifactfs.oid", "user.artifactfs.state"};
}

Result<FilesystemStats> BaseWorkdir::statfs() {
  struct statvfs disk {};
  if (::statvfs(options_.directory.c_str(), &disk) != 0) {
    return fail_errno(errno, "cannot look at the disk below '" + options_.directory.string() + "'");
  }
  FilesystemStats stats;
  stats.block_bytes = disk.f_frsize;
  stats.blocks = disk.f_blocks;
  stats.blocks_free = disk.f_bfree;
  stats.blocks_available = disk.f_bavail;
  stats.files = disk.f_files;
  stats.files_free = disk.f_ffree;
  return stats;
}

void BaseWorkdir::forget(InodeNumber, uint64_t) {}  // nothing is kept per inode

// ---- life

WorkdirStatus BaseWorkdir::status() {
  WorkdirStatus status;
  status.phase = store_->status().last_error.empty() ? "ready" : "offline";
  status.commit = snapshot_.commit;
  status.branch = snapshot_.branch;
  status.files = entries_;
  status.blocked_readers = blocked_readers_;
  return status;
}

Result<std::vector<std::string>> BaseWorkdir::unsaved_work() { return unpushed_work(git_directory(), options_.owner); }

void BaseWorkdir::add_refs(const std::vector<RefRow>& refs, const std::vector<ObjectId>& shallow) {
  if (auto added = add_remote_refs(git_directory(), options_.owner, refs, shallow); !added) {
    log::warning("{}", added.error().text());
  }
}

}  // namespace artifactfs
