// Writes the index of an ordinary checkout with write_git_index(), the stat data taken by lstat(2): what a mount would
// do, without a mount.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cache/tree_index.h"
#include "workdir/git_index.h"

namespace artifactfs::test {

/// Stat data of an existing checkout.
class LstatSource final : public IndexStatSource {
 public:
  explicit LstatSource(std::filesystem::path work_tree) : work_tree_(std::move(work_tree)) {}
  IndexStat directory(std::string_view path, InodeNumber inode) override;
  void entries(std::string_view path, InodeNumber inode, const Tree& tree, std::span<IndexStat> stats) override;
  bool is_cached(const ObjectId&) override { return gitignores_cached; }

  bool sizes_known = true;
  bool gitignores_cached = true;
  uint32_t device = 0;                  // reported instead of the true one
  std::function<void()> asked = [] {};  // called when entries are asked for

 private:
  std::filesystem::path work_tree_;
};

/// index.db at `path` with all trees of HEAD in `work_tree`, and HEAD's tree.
struct ImportedTrees {
  std::unique_ptr<TreeIndex> index;
  ObjectId root;
};
ImportedTrees import_head(const std::filesystem::path& work_tree, const std::filesystem::path& path);

}  // namespace artifactfs::test
