#include "cache/tree_import.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "cache/tree_row.h"

namespace artifactfs {

namespace {

class Importer {
 public:
  Importer(const TreeIndex::RawTrees& raw, const TreeStorage& storage) : raw_(raw), storage_(storage) {}

  Result<void> run(const ObjectId& root) {
    TRY_ASSIGN(const std::optional<StoredTree> stored, known(root));
    if (stored) return {};
    TRY(enter(root));
    while (!path_.empty()) {
      TRY_ASSIGN(const bool descended, advance());
      if (!descended) TRY(leave());
    }
    return {};
  }

 private:
  // A tree on the way from the root to where the walk is.
  struct Level {
    ObjectId oid;
    std::vector<RawTreeEntry> entries;
    std::vector<uint64_t> below;  // one an entry, as encode_tree_row wants it
    size_t next = 0;              // the first entry not yet looked at
    uint32_t height = 0;          // of those looked at
  };

  std::unexpected<Error> too_deep() const {
    return fail(ErrorCode::out_of_range, "cannot index tree '" + path_.front().oid.hex() + "'",
                "its directories nest deeper than " + std::to_string(kMaxTreeDepth));
  }

  Result<std::optional<StoredTree>> known(const ObjectId& oid) {
    if (const auto done = done_.find(oid); done != done_.end()) return done->second;
    TRY_ASSIGN(const std::optional<StoredTree> stored, storage_.find(oid));
    if (stored) done_.emplace(oid, *stored);
    return stored;
  }

  Result<void> enter(const ObjectId& oid) {
    const auto found = raw_.find(oid);
    if (found == raw_.end()) return fail(ErrorCode::not_found, "cannot find tree '" + oid.hex() + "'");
    if (path_.size() > kMaxTreeDepth) return too_deep();
    Level level;
    level.oid = oid;
    TRY_ASSIGN(level.entries, parse_raw_tree(oid, found->second));
    level.below.resize(level.entries.size());
    path_.push_back(std::move(level));
    return {};
  }

  // Goes on in the deepest tree; true when that led into a subtree, false when all its entries are known.
  Result<bool> advance() {
    Level& level = path_.back();
    for (; level.next < level.entries.size(); ++level.next) {
      const RawTreeEntry& entry = level.entries[level.next];
      if (kind_of_mode(entry.mode) != EntryKind::directory) continue;
      TRY_ASSIGN(const std::optional<StoredTree> subtree, known(entry.oid));
      if (!subtree) {
        const ObjectId oid = entry.oid;  // enter() moves the levels
        TRY(enter(oid));
        return true;
      }
      level.below[level.next] = subtree->descendants;
      level.height = std::max(level.height, subtree->height + 1);
      if (path_.size() - 1 + level.height > kMaxTreeDepth) return too_deep();
    }
    return false;
  }

  Result<void> leave() {
    Level& level = path_.back();
    TRY_ASSIGN(const std::vector<std::byte> row, encode_tree_row(level.oid, level.entries, level.below));
    const StoredTree stored{descendants_of_row(row), level.height};
    TRY(storage_.store(level.oid, stored, row));
    done_.emplace(level.oid, stored);
    path_.pop_back();
    return {};
  }

  const TreeIndex::RawTrees& raw_;
  const TreeStorage& storage_;
  // No cycle is possible among trees that hash to their names; kMaxTreeDepth ends one among trees that do not.
  std::vector<Level> path_;
  std::unordered_map<ObjectId, StoredTree> done_;
};

}  // namespace

Result<void> import_tree_closure(const ObjectId& root, const TreeIndex::RawTrees& raw, const TreeStorage& storage) {
  return Importer(raw, storage).run(root);
}

}  // namespace artifactfs
