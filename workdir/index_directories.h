// IndexDirectories: the directories of a base tree as the index's extensions list them: in preorder, with counts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"
#include "cache/tree_index.h"
#include "workdir/filesystem.h"

namespace artifactfs {

struct IndexDirectory {
  std::string name;  // of the root: empty
  ObjectId oid;
  InodeNumber inode = 0;
  uint32_t parent = 0;             // position in the vector; of the root: 0
  uint32_t entries = 0;            // index entries below it, at any depth
  std::vector<uint32_t> children;  // positions
  ObjectId gitignore;              // blob of its .gitignore; null when it has none
};

/// The first is the root. ErrorCode::out_of_range when the tree has 2^32 entries or more.
Result<std::vector<IndexDirectory>> list_index_directories(TreeIndex& trees, const ObjectId& root);

}  // namespace artifactfs
