#include "workdir/index_directories.h"

#include <limits>
#include <memory>

namespace artifactfs {

namespace {

struct Level {
  std::shared_ptr<const Tree> tree;
  uint32_t directory = 0;
  size_t position = 0;
};

}  // namespace

Result<std::vector<IndexDirectory>> list_index_directories(TreeIndex& trees, const ObjectId& root) {
  std::vector<IndexDirectory> out;
  std::vector<Level> stack;
  TRY_ASSIGN(auto root_tree, trees.tree(root));
  if (root_tree->descendants() >= std::numeric_limits<uint32_t>::max()) {
    return fail(ErrorCode::out_of_range, "cannot index tree '" + root.hex() + "'", "too many entries");
  }
  out.push_back({{}, root, kRootInode, 0, 0, {}, {}});
  stack.push_back({std::move(root_tree)});
  while (!stack.empty()) {
    Level& level = stack.back();
    if (level.position == level.tree->size()) {
      const IndexDirectory& done = out[level.directory];
      if (level.directory != 0) out[done.parent].entries += done.entries;
      stack.pop_back();
      continue;
    }
    const TreeEntry entry = level.tree->entry(level.position++);
    IndexDirectory& directory = out[level.directory];
    if (entry.kind != EntryKind::directory) {
      ++directory.entries;
      // git reads .gitignore with O_NOFOLLOW
      const bool is_file = entry.kind == EntryKind::file || entry.kind == EntryKind::executable;
      if (is_file && entry.name == ".gitignore") directory.gitignore = entry.oid;
      continue;
    }
    const auto child = static_cast<uint32_t>(out.size());
    directory.children.push_back(child);
    TRY_ASSIGN(auto tree, trees.tree(entry.oid));
    const InodeNumber inode = directory.inode + entry.rank;
    const uint32_t parent = level.directory;
    out.push_back({std::string(entry.name), entry.oid, inode, parent, 0, {}, {}});
    stack.push_back({std::move(tree), child});
  }
  return out;
}

}  // namespace artifactfs
