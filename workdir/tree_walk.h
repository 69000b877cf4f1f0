// TreeWalk: all blobs below a tree, depth first in git's order, one at a time, in memory bounded by the depth.
// Not thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"
#include "cache/tree.h"
#include "cache/tree_index.h"

namespace artifactfs {

class TreeWalk {
 public:
  /// `index` must outlive the walk.
  TreeWalk(TreeIndex& index, const ObjectId& root) : index_(&index), root_(root) {}

  /// The next file or symlink; nullopt at the end. The entry's name is valid until the next call.
  Result<std::optional<TreeEntry>> next();
  /// How many directories deep the last entry lay; 0 in the root.
  size_t depth() const { return stack_.empty() ? 0 : stack_.size() - 1; }

 private:
  struct Level {
    std::shared_ptr<const Tree> tree;
    size_t position = 0;
  };
  TreeIndex* index_;
  ObjectId root_;
  bool started_ = false;
  std::vector<Level> stack_;
};

}  // namespace artifactfs
