// import_tree_closure: the walk under TreeIndex::import_trees, apart from SQLite.
//
// Bottom-up and without recursion: a tree is encoded when all its subtrees have been, each distinct tree once.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "base/error.h"
#include "base/object_id.h"
#include "cache/tree_index.h"

namespace artifactfs {

/// Directories within each other that a tree may have. As git's own default (core.maxTreeDepth), and no path of more
/// components fits in PATH_MAX.
inline constexpr size_t kMaxTreeDepth = 2048;

/// What is known of a tree whose row has been made.
struct StoredTree {
  uint64_t descendants = 0;
  uint32_t height = 0;  // levels of directories below it
};

/// Where the walk finds what is stored already, and puts what it makes (subtrees before those who name them).
struct TreeStorage {
  std::function<Result<std::optional<StoredTree>>(const ObjectId& oid)> find;
  std::function<Result<void>(const ObjectId& oid, const StoredTree& tree, std::span<const std::byte> row)> store;
};

/// Errors as TreeIndex::import_trees; ErrorCode::out_of_range when the nesting exceeds kMaxTreeDepth.
Result<void> import_tree_closure(const ObjectId& root, const TreeIndex::RawTrees& raw, const TreeStorage& storage);

}  // namespace artifactfs
