#include "workdir/tree_walk.h"

namespace artifactfs {

Result<std::optional<TreeEntry>> TreeWalk::next() {
  if (!started_) {
    started_ = true;
    TRY_ASSIGN(auto root, index_->tree(root_));
    stack_.push_back({std::move(root)});
  }
  while (!stack_.empty()) {
    Level& level = stack_.back();
    if (level.position == level.tree->size()) {
      stack_.pop_back();
      continue;
    }
    const TreeEntry entry = level.tree->entry(level.position++);
    if (entry.kind == EntryKind::directory) {
      TRY_ASSIGN(auto subtree, index_->tree(entry.oid));
      stack_.push_back({std::move(subtree)});
    } else if (entry.kind != EntryKind::submodule) {
      return entry;
    }
  }
  return std::nullopt;
}

}  // namespace artifactfs
