#include "workdir/unsaved_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <chrono>
#include <future>
#include <unordered_set>
#include <utility>

#include "base/log.h"
#include "base/sha1.h"
#include "workdir/committed_trees.h"
#include "workdir/gitdir_command.h"
#include "workdir/ignore_rules.h"

namespace artifactfs {

namespace {

constexpr std::string_view kIgnoreName = ".gitignore";
constexpr std::string_view kScratchName = "ignore-rules";
constexpr size_t kNewPathsAtOnce = 16384;  // asked for in one run of git check-ignore
constexpr size_t kHashedAtOnce = size_t{256} << 10;
constexpr auto kReadTimeout = std::chrono::seconds(5);

// What git would store for a file; nullopt for what it does not store (FIFOs, devices).
std::optional<EntryKind> kind_in_git(const InodeView& view) {
  if (!view.row) return view.base->kind;
  if (S_ISREG(view.row->mode)) return (view.row->mode & 0100) != 0 ? EntryKind::executable : EntryKind::file;
  if (S_ISLNK(view.row->mode)) return EntryKind::symlink;
  return std::nullopt;
}

Result<ObjectId> hash_file(UpperFiles& upper, InodeNumber inode, std::vector<std::byte>& buffer) {
  TRY_ASSIGN(const auto file, upper.file(inode));
  struct stat st {};
  if (::fstat(file->get(), &st) != 0) return fail_errno(errno, "cannot read inode " + std::to_string(inode));
  buffer.resize(kHashedAtOnce);
  Sha1 hash;
  hash.begin_object(ObjectType::blob, static_cast<uint64_t>(st.st_size));
  for (uint64_t offset = 0;;) {
    TRY_ASSIGN(const size_t n, pread_some(file->get(), buffer, offset));
    hash.update(std::span(buffer).first(n));
    offset += n;
    if (n < buffer.size()) return hash.finish();
  }
}

// Without the network: only what is cached.
Result<std::string> read_cached(ObjectStore& objects, const ObjectId& oid) {
  if (!objects.is_cached(oid)) return fail(ErrorCode::not_found, "cannot read " + oid.hex(), "it is not cached");
  auto promise = std::make_shared<std::promise<Result<ReadData>>>();
  auto future = promise->get_future();
  const Ticket ticket = objects.read(oid, 0, IgnoreRules::kFileBytes + 1, kReadTimeout,
                                     [promise](Result<ReadData> data) { promise->set_value(std::move(data)); });
  TRY_ASSIGN(const ReadData data, future.get());
  return std::string(reinterpret_cast<const char*>(data.bytes.get()), data.size);
}

class Search {
 public:
  Search(const UnsavedFilesSources& sources, bool sparse)
      : from_(sources),
        sparse_(sparse),
        committed_(sources.index, sources.git_directory, sources.store_objects),
        rules_(sources.git_directory, sources.workspace / kScratchName, sources.owner) {}

  Result<UnsavedFiles> run(const std::optional<ObjectId>& commit);

 private:
  // A directory to be walked, and what the base and HEAD have at its path.
  struct Directory {
    InodeNumber inode = 0;
    std::string path;  // empty, or ending in '/'
    std::optional<BaseEntry> base;
    std::optional<ObjectId> committed;
  };

  Result<void> walk(const Directory& directory);
  Result<std::vector<OverlayTree::Listed>> list(InodeNumber inode);
  Result<void> look_at_directory(const InodeView& view, std::string path, std::optional<BaseEntry> base,
                                 const CommittedEntry* committed);
  Result<void> look_at_file(const InodeView& view, const std::string& path, const std::optional<BaseEntry>& base,
                            const CommittedEntry* committed);
  Result<ObjectId> hash(const InodeView& view);
  void note_rules(const std::string& directory, const InodeView& view);
  Result<std::string> content_of(const InodeView& view);
  void add_new(std::string path);
  void judge_new();

  const UnsavedFilesSources& from_;
  const bool sparse_;
  CommittedTrees committed_;
  IgnoreRules rules_;
  bool rules_known_ = true;
  std::unordered_set<InodeNumber> changed_directories_;
  std::vector<Directory> left_;
  std::vector<std::string> new_;  // paths that HEAD does not have
  std::vector<std::pair<std::string, InodeView>> new_rules_;
  std::vector<std::byte> buffer_;
  UnsavedFiles found_;
};

Result<UnsavedFiles> Search::run(const std::optional<ObjectId>& commit) {
  changed_directories_ = from_.tree.changed_directories();
  if (changed_directories_.empty()) return found_;
  Directory root;
  root.inode = kRootInode;
  TRY_ASSIGN(root.base, from_.base.tree().find(kRootInode));
  if (commit) {
    TRY_ASSIGN(root.committed, committed_.tree_of_commit(*commit));
  }
  left_.push_back(std::move(root));
  while (!left_.empty()) {
    const Directory next = std::move(left_.back());
    left_.pop_back();
    TRY(walk(next));
    if (new_.size() >= kNewPathsAtOnce) judge_new();
  }
  judge_new();
  return std::move(found_);
}

Result<std::vector<OverlayTree::Listed>> Search::list(InodeNumber inode) {
  std::vector<OverlayTree::Listed> entries;
  for (uint64_t cookie = kFirstEntryCookie;;) {
    TRY_ASSIGN(auto listing, from_.tree.list(inode, cookie));
    std::move(listing.entries.begin(), listing.entries.end(), std::back_inserter(entries));
    if (listing.end) return entries;
    cookie = listing.next_cookie;
  }
}

Result<void> Search::walk(const Directory& directory) {
  CommittedTree committed;
  if (directory.committed) {
    TRY_ASSIGN(committed, committed_.tree(*directory.committed));
  }
  std::shared_ptr<const Tree> base;
  if (directory.base && artifactfs::is_directory(directory.base->kind)) {
    TRY_ASSIGN(base, from_.base.tree().tree_of(*directory.base));
  }
  const auto entries = list(directory.inode);
  if (!entries) {
    // Removed while we look.
    return entries.error().code == ErrorCode::not_found ? Result<void>{} : fail(entries.error());
  }
  std::unordered_set<std::string_view> present;
  for (const auto& entry : *entries) {
    present.insert(entry.name);
    if (entry.name == kIgnoreName && entry.view.is_regular()) note_rules(directory.path, entry.view);
  }
  if (!directory.committed && !directory.path.empty() && present.contains(kGitfileName)) {
    add_new(directory.path);  // a repository of its own: git takes it for one thing
    return {};
  }
  for (const auto& entry : *entries) {
    const auto committed_entry = committed.find(entry.name);
    const CommittedEntry* in_head = committed_entry == committed.end() ? nullptr : &committed_entry->second;
    const auto position = base == nullptr ? std::nullopt : base->find(entry.name);
    std::optional<BaseEntry> in_base;
    if (position) in_base = BaseTree::child(base, *position, directory.base->inode);
    std::string path = directory.path + entry.name;
    if (entry.view.is_directory()) {
      TRY(look_at_directory(entry.view, std::move(path), std::move(in_base), in_head));
    } else {
      TRY(look_at_file(entry.view, path, in_base, in_head));
    }
  }
  if (base == nullptr || sparse_) return {};
  for (const auto& [name, entry] : committed) {
    if (entry.kind == EntryKind::submodule || present.contains(name) || !base->find(name)) continue;
    uint64_t files = 1;
    if (entry.kind == EntryKind::directory) {
      TRY_ASSIGN(files, committed_.count_files(entry.oid));
    }
    found_.changed.add(directory.path + name, files);
  }
  return {};
}

Result<void> Search::look_at_directory(const InodeView& view, std::string path, std::optional<BaseEntry> base,
                                       const CommittedEntry* committed) {
  const bool changed = changed_directories_.contains(view.inode);
  const bool in_place = base && base->inode == view.inode;
  if (in_place && !changed) return {};
  if (committed != nullptr && committed->kind == EntryKind::submodule) {
    TRY_ASSIGN(const auto listing, from_.tree.list(view.inode, kFirstEntryCookie));
    if (!listing.entries.empty()) found_.submodules.add(path);
    return {};
  }
  std::optional<ObjectId> tree;
  if (committed != nullptr && committed->kind == EntryKind::directory) tree = committed->oid;
  if (!changed && tree && view.inode < kGitfileInode) {
    TRY_ASSIGN(const BaseEntry moved, from_.base.tree().find(view.inode));
    if (moved.oid == *tree) return {};
  }
  left_.push_back({view.inode, std::move(path) + "/", std::move(base), tree});
  return {};
}

Result<void> Search::look_at_file(const InodeView& view, const std::string& path, const std::optional<BaseEntry>& base,
                                  const CommittedEntry* committed) {
  const auto kind = kind_in_git(view);
  if (base && base->inode == view.inode && kind == base->kind && (!view.row || view.row->data == DataSource::base)) {
    return {};
  }
  if (committed == nullptr) {
    if (kind) add_new(path);
    return {};
  }
  if (kind == committed->kind) {
    const auto oid = hash(view);
    // Removed while we look; whoever did that has not done with this tree.
    if (!oid && oid.error().code != ErrorCode::not_found) return fail(oid.error());
    if (oid && *oid == committed->oid) return {};
  }
  found_.changed.add(path);
  return {};
}

Result<ObjectId> Search::hash(const InodeView& view) {
  if (!view.row) return view.base->oid;
  switch (view.row->data) {
    case DataSource::base:
      return view.row->base_oid;
    case DataSource::upper:
      return hash_file(from_.upper, view.inode, buffer_);
    case DataSource::none:
      break;
  }
  return hash_object(ObjectType::blob, std::as_bytes(std::span(view.row->target)));
}

void Search::note_rules(const std::string& directory, const InodeView& view) {
  if (rules_known_) new_rules_.emplace_back(directory, view);
}

Result<std::string> Search::content_of(const InodeView& view) {
  std::string content;
  if (!view.row || view.row->data == DataSource::base) {
    TRY_ASSIGN(content, read_cached(from_.base.objects(), view.row ? view.row->base_oid : view.base->oid));
  } else {
    TRY_ASSIGN(const auto file, from_.upper.file(view.inode));
    content.resize(IgnoreRules::kFileBytes + 1);
    TRY_ASSIGN(const size_t n, pread_some(file->get(), std::as_writable_bytes(std::span(content)), 0));
    content.resize(n);
  }
  if (content.size() > IgnoreRules::kFileBytes) {
    return fail(ErrorCode::out_of_range, "cannot read inode " + std::to_string(view.inode), "it is too large");
  }
  return content;
}

void Search::add_new(std::string path) {
  if (rules_known_) {
    new_.push_back(std::move(path));
  } else {
    found_.maybe_ignored.add(path);
  }
}

// Rules that cannot be had are no error: then every new file is named, and --force is the way out.
void Search::judge_new() {
  if (new_.empty()) return;
  for (const auto& [directory, view] : new_rules_) {
    const auto content = content_of(view);
    rules_known_ = rules_known_ && content && rules_.add_file(directory, *content);
  }
  new_rules_.clear();
  const auto ignored = rules_known_ ? rules_.ignored(new_) : fail(ErrorCode::not_found, "");
  if (rules_known_ && !ignored) log::warning("{}", ignored.error().text());
  rules_known_ = ignored.has_value();
  for (size_t i = 0; i < new_.size(); ++i) {
    if (!ignored) {
      found_.maybe_ignored.add(new_[i]);
    } else if (!(*ignored)[i]) {
      found_.changed.add(new_[i]);
    }
  }
  new_.clear();
}

Result<bool> is_sparse(const UnsavedFilesSources& sources) {
  TRY_ASSIGN(
      const auto answer,
      run_in_gitdir({sources.git_directory, sources.owner, {"config", "--type=bool", "core.sparseCheckout"}, {}, {}}));
  return answer.status == 0 && answer.out == "true\n";
}

}  // namespace

Result<UnsavedFiles> find_unsaved_files(const UnsavedFilesSources& sources, const std::optional<ObjectId>& commit) {
  TRY_ASSIGN(const bool sparse, is_sparse(sources));
  return Search(sources, sparse).run(commit);
}

std::string quoted_path(std::string_view path) {
  std::string out = "'";
  for (const char c : path) {
    if (c >= ' ' && c < '\x7f' && c != '\\') {
      out += c;
    } else {
      out += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
    }
  }
  return out + "'";
}

std::string describe_count(uint64_t count, std::string_view one, std::string_view many, std::string_view example) {
  return fmt::format("{} {}{} {}", count, count == 1 ? one : many, count == 1 ? ":" : ", e.g.", quoted_path(example));
}

std::vector<std::string> describe(const UnsavedFiles& files) {
  std::vector<std::string> lines;
  const auto add = [&](const UnsavedFiles::Group& group, std::string_view one, std::string_view many) {
    if (group.count != 0) lines.push_back(describe_count(group.count, one, many, group.example));
  };
  add(files.changed, "changed file is not committed", "changed files are not committed");
  add(files.maybe_ignored, "new file is not committed and may or may not be ignored",
      "new files are not committed and may or may not be ignored");
  add(files.submodules, "submodule has files, which are not looked at",
      "submodules have files, which are not looked at");
  return lines;
}

}  // namespace artifactfs
