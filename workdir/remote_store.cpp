#include "workdir/remote_store.h"

#include <algorithm>
#include <array>
#include <unordered_set>
#include <utility>

#include "base/log.h"
#include "base/unique_fd.h"
#include "workdir/manifests.h"
#include "workdir/pack_importer.h"
#include "workdir/tree_walk.h"

namespace artifactfs {

namespace {

constexpr size_t kPoolThreads = 2;
constexpr size_t kSizesPerRequest = 50'000;
constexpr const char* kCapabilitiesKey = "capabilities";
constexpr const char* kLimitationKey = "limitation";

std::optional<ServerCapabilities> remembered_capabilities(TreeIndex& index) {
  const auto text = index.value(kCapabilitiesKey);
  if (!text || !*text) return std::nullopt;
  auto capabilities = parse_capabilities(**text);
  if (!capabilities) return std::nullopt;
  return std::move(*capabilities);
}

}  // namespace

// What a mount asked for, as the remote answers it.
struct RemoteStore::Tip {
  std::string ref;  // full name; empty for a bare commit id
  ObjectId oid;     // what the ref names: a commit, or an annotated tag
  ObjectId commit;
  std::string branch;
};

RemoteStore::RemoteStore(std::filesystem::path directory, RemoteUrl remote, TransportContext context,
                         std::unique_ptr<TreeIndex> index, std::unique_ptr<BlobStore> blobs,
                         std::unique_ptr<Git2ObjectDatabase> database, std::unique_ptr<Transport> transport)
    : directory_(std::move(directory)),
      remote_(std::move(remote)),
      index_(std::move(index)),
      blobs_(std::move(blobs)),
      database_(std::move(database)),
      transport_(std::move(transport)),
      client_(*transport_, remembered_capabilities(*index_)),
      git_program_(remote_, std::move(context), directory_ / "git"),
      sink_(*index_, *blobs_),
      source_(client_, *database_),
      fetcher_(source_, sink_),
      pool_("af-blobs", kPoolThreads),
      object_store_(*index_, *blobs_, fetcher_, pool_) {
  const auto limitation = index_->value(kLimitationKey);
  if (limitation && *limitation) {
    limitation_ = **limitation;
    source_.use_local_objects();
  }
}

RemoteStore::~RemoteStore() { shutdown(); }

void RemoteStore::shutdown() {
  transport_->shutdown();
  fetcher_.shutdown();
}

// ---- the start of a mount

void RemoteStore::use_git_program(std::string why) {
  log::warning("'{}' is served from a full download: {}", remote_.display(), why);
  (void)index_->put_value(kLimitationKey, why);  // a cache: without it the next mount finds out again
  source_.use_local_objects();
  MutexLock lock(state_mutex_);
  limitation_ = std::move(why);
}

Result<std::vector<RemoteRef>> RemoteStore::list_refs(Cancellation* cancellation) {
  static const std::array<std::string, 3> kPrefixes = {"HEAD", "refs/heads/", "refs/tags/"};
  if (source_.uses_local_objects()) return git_program_.ls_refs();
  auto refs = client_.ls_refs(kPrefixes, cancellation);
  if (!refs && refs.error().code == ErrorCode::not_supported) {
    // Not smart HTTP at all; what the git program can do with it, it will say.
    auto listed = git_program_.ls_refs();
    if (!listed) return listed;
    use_git_program("the server does not speak git's smart protocol");
    return listed;
  }
  if (!refs) return refs;
  TRY_ASSIGN(const ServerCapabilities capabilities, client_.capabilities(cancellation));
  if (capabilities.object_format != "sha1") {
    return fail(
        ErrorCode::not_supported, "",
        "the repository uses " + capabilities.object_format + " object names, which artifactfs does not support");
  }
  if (capabilities.protocol_version < 2) {
    use_git_program("the server speaks only protocol version " + std::to_string(capabilities.protocol_version));
  } else if (!capabilities.fetch_shallow || !capabilities.fetch_filter) {
    use_git_program(capabilities.fetch_shallow ? "the server does not support filters"
                                               : "the server does not support shallow fetches");
  } else {
    (void)index_->put_value(kCapabilitiesKey, serialize_capabilities(capabilities));
  }
  return refs;
}

namespace {

const RemoteRef* find_ref(const std::vector<RemoteRef>& refs, const std::string& name) {
  const auto it = std::ranges::find(refs, name, &RemoteRef::name);
  return it == refs.end() || it->oid.is_null() ? nullptr : &*it;
}

// What `wanted` names on the remote, in the order of `git clone --branch`: a branch, then a tag; also full names.
const RemoteRef* resolve(const std::vector<RemoteRef>& refs, const std::string& wanted) {
  for (const char* prefix : {"", "refs/heads/", "refs/tags/", "refs/"}) {
    if (const RemoteRef* ref = find_ref(refs, prefix + wanted)) return ref;
  }
  return nullptr;
}

Result<const RemoteRef*> resolve_head(const std::vector<RemoteRef>& refs) {
  if (const RemoteRef* head = find_ref(refs, "HEAD")) {
    const RemoteRef* target = head->symbolic_target ? find_ref(refs, *head->symbolic_target) : nullptr;
    return target != nullptr ? target : head;
  }
  const bool is_empty = std::ranges::none_of(refs, [](const RemoteRef& ref) { return !ref.oid.is_null(); });
  if (is_empty) return fail(ErrorCode::not_found, "", "the repository is empty: it has no commit yet");
  return fail(ErrorCode::not_found, "", "its HEAD names no branch that exists; name one with --ref");
}

}  // namespace

Result<Snapshot> RemoteStore::prepare(const std::string& ref, const ProgressFunction& progress,
                                      Cancellation* cancellation) {
  progress("asking " + remote_.display());
  TRY_ASSIGN(const std::vector<RemoteRef> refs, list_refs(cancellation));
  Tip tip;
  const RemoteRef* chosen = nullptr;
  if (ref.empty() || ref == "HEAD") {
    TRY_ASSIGN(chosen, resolve_head(refs));
  } else {
    chosen = resolve(refs, ref);
  }
  if (chosen != nullptr) {
    tip = {chosen->name, chosen->oid, chosen->peeled.value_or(chosen->oid), ""};
    if (chosen->name.starts_with("refs/heads/")) tip.branch = chosen->name.substr(11);
  } else if (const auto oid = ObjectId::from_hex(ref)) {
    tip = {"", *oid, *oid, ""};
  } else {
    return fail(ErrorCode::not_found, "", "the remote has no branch, tag or commit '" + ref + "'");
  }

  std::vector<RefRow> rows;
  rows.reserve(refs.size());
  for (const auto& r : refs) rows.push_back({r.name, r.oid, r.peeled, r.symbolic_target});
  log::debug("'{}' listed {} refs", remote_.display(), rows.size());
  TRY(index_->put_refs(rows));
  log::debug("'{}': refs are in the index", remote_.display());

  if (!is_local(tip.oid, tip.commit)) {
    progress("fetching the tree");
    TRY(fetch_tip(tip, progress, cancellation));
  }
  log::debug("'{}': {} and its trees are local", remote_.display(), tip.oid.hex());
  TRY_ASSIGN(tip.commit, peel(tip.oid));
  TRY_ASSIGN(Snapshot snapshot, snapshot_of(tip.commit));
  snapshot.branch = tip.branch;
  snapshot.ref = tip.ref;
  for (const auto& row : rows) {
    const bool is_here = row.oid == tip.oid || row.oid == tip.commit;
    if (is_here && database_->exists(row.oid)) snapshot.local_refs.push_back(row);
  }
  return snapshot;
}

bool RemoteStore::is_local(const ObjectId& tip, const ObjectId& commit) {
  const auto row = index_->commit(commit);
  return row && *row && index_->has_tree((*row)->tree) && database_->exists(tip) && database_->exists(commit);
}

Result<void> RemoteStore::fetch_tip(const Tip& tip, const ProgressFunction& progress, Cancellation* cancellation) {
  if (source_.uses_local_objects()) return fetch_tip_with_git(tip);
  TRY_ASSIGN(auto importer, PackImporter::begin(git_directory()));
  FetchRequest request;
  request.wants = {tip.oid};
  request.deepen = 1;
  request.filter = "blob:none";
  PackReader reader(*importer);
  auto answer = client_.fetch(
      request, reader, [&](std::string_view line) { progress(std::string(line)); },
      [&](std::span<const std::byte> bytes) { return importer->append_pack(bytes); }, cancellation);
  if (!answer) {
    if (answer.error().code == ErrorCode::refused_object && tip.ref.empty()) {
      return fail(ErrorCode::not_found, "", "the remote has no commit '" + tip.oid.hex() + "'");
    }
    return fail(answer.error());
  }
  TRY(importer->finish(reader.pack_checksum()));
  TRY(add_shallow(answer->shallow, answer->unshallow));
  database_->refresh();
  for (const auto& [oid, content] : importer->commits()) {
    TRY_ASSIGN(const CommitRow row, parse_commit(oid, content));
    TRY(index_->import_trees(row.tree, importer->trees()));
    TRY(index_->put_commit(row));
  }
  return {};
}

Result<void> RemoteStore::fetch_tip_with_git(const Tip& tip) {
  TRY(git_program_.fetch(tip.ref.empty() ? tip.oid.hex() : tip.ref));
  database_->refresh();
  TRY_ASSIGN(const ObjectId commit, peel(tip.oid));
  return import_from_database(commit);
}

Result<ObjectId> RemoteStore::peel(ObjectId oid) {
  for (int depth = 0; depth < 10; ++depth) {
    TRY_ASSIGN(const GitObject object, database_->read(oid));
    if (object.type == ObjectType::commit) return oid;
    const std::string_view text(reinterpret_cast<const char*>(object.content.data()), object.content.size());
    const auto target = object.type == ObjectType::tag && text.starts_with("object ")
                            ? ObjectId::from_hex(text.substr(7, ObjectId::kHexDigits))
                            : std::nullopt;
    if (!target) break;
    oid = *target;
  }
  return fail(ErrorCode::invalid_argument, "", "'" + oid.hex() + "' is not a commit");
}

// The git program has downloaded a commit with all its trees: read them back for the index.
Result<void> RemoteStore::import_from_database(const ObjectId& commit) {
  TRY_ASSIGN(const GitObject object, database_->read(commit));
  TRY_ASSIGN(const CommitRow row, parse_commit(commit, object.content));
  TreeIndex::RawTrees trees;
  std::vector<ObjectId> pending = {row.tree};
  while (!pending.empty()) {
    const ObjectId oid = pending.back();
    pending.pop_back();
    if (trees.contains(oid) || index_->has_tree(oid)) continue;
    TRY_ASSIGN(GitObject tree, database_->read(oid));
    TRY_ASSIGN(const auto entries, parse_raw_tree(oid, tree.content));
    for (const auto& entry : entries) {
      if (entry.mode == 040000) pending.push_back(entry.oid);
    }
    trees.emplace(oid, std::move(tree.content));
  }
  TRY(index_->import_trees(row.tree, trees));
  return index_->put_commit(row);
}

Result<Snapshot> RemoteStore::snapshot_of(const ObjectId& commit) {
  TRY_ASSIGN(const auto row, index_->commit(commit));
  if (!row || !index_->has_tree(row->tree)) {
    return fail(ErrorCode::not_found, "", "the trees of commit '" + commit.hex() + "' are not in the store");
  }
  Snapshot snapshot;
  snapshot.commit = commit;
  snapshot.tree = row->tree;
  snapshot.committer_time = row->committer_time;
  snapshot.shallow = read_shallow();
  return snapshot;
}

std::optional<Snapshot> RemoteStore::local_snapshot(const ObjectId& commit) {
  auto snapshot = snapshot_of(commit);
  if (!snapshot || !database_->exists(commit)) return std::nullopt;
  return std::move(*snapshot);
}

// ---- shallow commits of the store's repository (gitrepository-layout(5): one oid a line)

std::vector<ObjectId> RemoteStore::read_shallow() {
  std::vector<ObjectId> out;
  const auto text = read_file(git_directory() / "shallow");
  if (!text) return out;
  for (size_t i = 0; i + ObjectId::kHexDigits <= text->size(); i += ObjectId::kHexDigits + 1) {
    if (const auto oid = ObjectId::from_hex(std::string_view(*text).substr(i, ObjectId::kHexDigits)))
      out.push_back(*oid);
  }
  return out;
}

Result<std::vector<ObjectId>> RemoteStore::add_shallow(std::span<const ObjectId> added,
                                                       std::span<const ObjectId> removed) {
  MutexLock lock(shallow_mutex_);
  std::vector<ObjectId> all = read_shallow();
  all.insert(all.end(), added.begin(), added.end());
  std::ranges::sort(all);
  all.erase(std::ranges::unique(all).begin(), all.end());
  for (const auto& oid : removed) std::erase(all, oid);
  std::string text;
  for (const auto& oid : all) text.append(oid.hex()).append("\n");
  if (!text.empty()) TRY(write_file_atomically(git_directory() / "shallow", text, 0644));
  return all;
}

// ---- behind the mount

struct RemoteStore::Background {
  Mutex mutex;
  BackgroundListener listener GUARDED_BY(mutex);  // emptied when the owner has gone
  std::vector<std::shared_ptr<void>> work;

  void tell_refs(const std::vector<RefRow>& refs, const std::vector<ObjectId>& shallow) EXCLUDES(mutex) {
    MutexLock lock(mutex);
    if (listener.refs) listener.refs(refs, shallow);
  }
  void tell_sizes() EXCLUDES(mutex) {
    MutexLock lock(mutex);
    if (listener.sizes) listener.sizes();
  }
};

std::shared_ptr<void> RemoteStore::start_background(const Snapshot& snapshot, bool prefetch,
                                                    BackgroundListener listener) {
  auto background = std::make_shared<Background>();
  {
    MutexLock lock(background->mutex);
    background->listener = std::move(listener);
  }
  const std::weak_ptr<Background> weak = background;  // a job must not keep the handle that ends it
  auto warn = [this](const Error& error, const Cancellation& cancellation) {
    if (!cancellation.cancelled()) log::warning("'{}': {}", remote_.display(), error.text());
  };
  if (!source_.uses_local_objects()) {
    background->work.push_back(fetcher_.run([this, weak, warn](Cancellation& cancellation) {
      const auto refs = fetch_all_tips(cancellation);
      if (!refs) return warn(refs.error(), cancellation);
      if (const auto alive = weak.lock()) alive->tell_refs(*refs, read_shallow());
    }));
  }
  background->work.push_back(fetcher_.run([this, weak, warn, tree = snapshot.tree](Cancellation& cancellation) {
    const auto all_known = fetch_all_sizes(tree, cancellation);
    if (!all_known) return warn(all_known.error(), cancellation);
    if (const auto alive = *all_known ? weak.lock() : nullptr) alive->tell_sizes();
  }));
  if (prefetch) background->work.push_back(fetcher_.add_background(manifests_first(*index_, *blobs_, snapshot.tree)));
  return {nullptr, [background = std::move(background)](void*) mutable {
            {
              MutexLock lock(background->mutex);  // waits for a call of the listener that is under way
              background->listener = {};
            }
            background->work.clear();
          }};
}

Result<std::vector<RefRow>> RemoteStore::fetch_all_tips(Cancellation& cancellation) {
  TRY_ASSIGN(const auto refs, index_->refs());
  FetchRequest request;
  std::unordered_set<ObjectId> wanted;
  for (const auto& ref : refs) {
    if (ref.oid.is_null()) continue;
    // A tag's target is wanted by name, for it may be a blob or a tree that the filter leaves out.
    for (const ObjectId& oid : {ref.oid, ref.peeled.value_or(ref.oid)}) {
      if (!database_->exists(oid) && wanted.insert(oid).second) request.wants.push_back(oid);
    }
  }
  if (!request.wants.empty()) {
    request.deepen = 1;
    request.filter = "tree:0";
    TRY_ASSIGN(auto importer, PackImporter::begin(git_directory()));
    PackReader reader(*importer);
    TRY_ASSIGN(const FetchAnswer answer,
               client_.fetch(
                   request, reader, {}, [&](std::span<const std::byte> bytes) { return importer->append_pack(bytes); },
                   &cancellation));
    TRY(importer->finish(reader.pack_checksum()));
    TRY(add_shallow(answer.shallow, answer.unshallow));
    database_->refresh();
  }
  std::vector<RefRow> local;
  for (const auto& ref : refs) {
    if (!ref.oid.is_null() && database_->exists(ref.oid)) local.push_back(ref);
  }
  return local;
}

Result<bool> RemoteStore::fetch_all_sizes(const ObjectId& tree, Cancellation& cancellation) {
  TRY_ASSIGN(const bool supported, source_.has_sizes());
  if (!supported) return false;
  bool all_known = true;
  TreeWalk walk(*index_, tree);
  std::vector<ObjectId> unknown;
  auto ask = [&]() -> Result<void> {
    const auto known = index_->sizes(unknown);
    std::vector<ObjectId> oids;
    for (size_t i = 0; i < unknown.size(); ++i) {
      if (!known[i]) oids.push_back(unknown[i]);
    }
    unknown.clear();
    if (oids.empty()) return {};
    TRY_ASSIGN(const auto answers, source_.sizes(oids, cancellation));
    std::vector<std::pair<ObjectId, uint64_t>> sizes;
    for (size_t i = 0; i < oids.size(); ++i) {
      if (answers[i]) sizes.emplace_back(oids[i], *answers[i]);
      all_known = all_known && answers[i].has_value();
    }
    return index_->put_sizes(sizes);
  };
  for (;;) {
    TRY_ASSIGN(const auto entry, walk.next());
    if (!entry) {
      TRY(ask());
      return all_known;
    }
    unknown.push_back(entry->oid);
    if (unknown.size() == kSizesPerRequest) TRY(ask());
    if (cancellation.cancelled()) return fail(ErrorCode::cancelled, "cannot ask for sizes", "cancelled");
  }
}

StoreStatus RemoteStore::status() {
  StoreStatus status;
  status.display_url = remote_.display();
  status.transport = transport_->stats();
  status.blobs = blobs_->stats();
  const FetcherStats fetcher = fetcher_.stats();
  status.last_error = fetcher.last_error;
  status.pending_fetches = fetcher.queued + fetcher.in_flight;
  MutexLock lock(state_mutex_);
  status.limitation = limitation_;
  return status;
}

}  // namespace artifactfs
