// BaseTree: the immutable tree below a mount, addressed by inode number.
//
// Inode numbers are kRootInode + the entry's preorder rank in the whole tree, so finding an entry is a walk down from
// the root, one binary search a level, and nothing is kept per inode. Thread-safe.
#pragma once

#include <memory>
#include <optional>

#include "base/error.h"
#include "base/object_id.h"
#include "cache/tree_index.h"
#include "workdir/filesystem.h"

namespace artifactfs {

struct BaseEntry {
  InodeNumber inode = 0;
  InodeNumber parent = 0;  // of the root: itself
  EntryKind kind = EntryKind::directory;
  ObjectId oid;
  std::shared_ptr<const Tree> directory;  // the tree that holds the entry; null for the root
};

class BaseTree {
 public:
  /// `index` must have `root` and outlive this.
  BaseTree(TreeIndex& index, const ObjectId& root) : index_(index), root_(root) {}

  /// ErrorCode::not_found for a number that the tree does not have.
  Result<BaseEntry> find(InodeNumber inode) const;
  /// The tree object of a directory. ErrorCode::not_directory for anything else; submodules are empty directories, and
  /// have a null tree.
  Result<std::shared_ptr<const Tree>> tree_of(const BaseEntry& entry) const;
  /// The entry at `index` of `tree`, which is the tree of the directory `parent`.
  static BaseEntry child(const std::shared_ptr<const Tree>& tree, size_t index, InodeNumber parent);
  /// Number of entries, directories included.
  Result<uint64_t> entries() const;

 private:
  TreeIndex& index_;
  ObjectId root_;
};

}  // namespace artifactfs
