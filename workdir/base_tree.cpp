#include "workdir/base_tree.h"

namespace artifactfs {

Result<BaseEntry> BaseTree::find(InodeNumber inode) const {
  BaseEntry entry{kRootInode, kRootInode, EntryKind::directory, root_, nullptr};
  if (inode == kRootInode) return entry;
  uint64_t rank = inode - kRootInode;  // within the directory that is looked into
  while (true) {
    TRY_ASSIGN(auto tree, index_.tree(entry.oid));
    const auto position = inode < kRootInode ? std::nullopt : tree->find_rank(rank);
    if (!position) break;
    entry = child(tree, *position, entry.inode);
    if (entry.inode == inode) return entry;
    if (entry.kind != EntryKind::directory) break;
    rank = inode - entry.inode;
  }
  return fail(ErrorCode::not_found, "cannot find inode " + std::to_string(inode), "no such entry in the tree");
}

Result<std::shared_ptr<const Tree>> BaseTree::tree_of(const BaseEntry& entry) const {
  if (entry.kind == EntryKind::submodule) return nullptr;
  if (entry.kind != EntryKind::directory) {
    return fail(ErrorCode::not_directory, "cannot list inode " + std::to_string(entry.inode), "not a directory");
  }
  return index_.tree(entry.oid);
}

BaseEntry BaseTree::child(const std::shared_ptr<const Tree>& tree, size_t index, InodeNumber parent) {
  const TreeEntry entry = tree->entry(index);
  return {parent + entry.rank, parent, entry.kind, entry.oid, tree};
}

Result<uint64_t> BaseTree::entries() const {
  TRY_ASSIGN(const auto tree, index_.tree(root_));
  return tree->descendants();
}

}  // namespace artifactfs
