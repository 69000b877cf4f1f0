// CommittedTrees: what HEAD of a gitdir names, tree by tree: from the store's TreeIndex where it has the tree (then no
// object is read), else from the object directories of the gitdir and the store. The gitdir's second alternate, which
// is a mount of ours and holds no trees, is not looked at.
//
// Not thread-safe.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/object_id.h"
#include "base/subprocess.h"
#include "cache/tree_index.h"
#include "workdir/git2_object_database.h"

namespace artifactfs {

struct CommittedEntry {
  EntryKind kind = EntryKind::file;
  ObjectId oid;
};
/// A directory's entries, by name.
using CommittedTree = std::map<std::string, CommittedEntry, std::less<>>;

class CommittedTrees {
 public:
  /// `index` must outlive this.
  CommittedTrees(TreeIndex& index, std::filesystem::path git_directory, std::filesystem::path store_objects)
      : index_(index), git_directory_(std::move(git_directory)), store_objects_(std::move(store_objects)) {}

  /// The tree of a commit. ErrorCode::not_found when it is not local.
  Result<ObjectId> tree_of_commit(const ObjectId& commit);
  Result<CommittedTree> tree(const ObjectId& oid);
  /// Files and symlinks below a tree.
  Result<uint64_t> count_files(const ObjectId& oid);

 private:
  Result<GitObject> read(const ObjectId& oid, ObjectType type);

  TreeIndex& index_;
  const std::filesystem::path git_directory_, store_objects_;
  std::unique_ptr<Git2ObjectDatabase> objects_;  // opened when it is needed
};

/// The commit that HEAD names; nullopt while it is unborn.
Result<std::optional<ObjectId>> head_commit(const std::filesystem::path& git_directory, const UserIds& owner);

}  // namespace artifactfs
