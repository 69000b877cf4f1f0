// BaseIndexStats: the stat data that a mount reports for its untouched base tree, for the git index of a fresh mount.
// Thread-safe.
#pragma once

#include "cache/tree_index.h"
#include "workdir/base_files.h"
#include "workdir/git_index.h"
#include "workdir/object_store.h"

namespace artifactfs {

class BaseIndexStats final : public IndexStatSource {
 public:
  /// `with_sizes`: false leaves all sizes unknown, which is what a mount in a hurry wants (a size costs a look into
  /// index.db each). The references must outlive this.
  BaseIndexStats(ObjectStore& objects, const UserIds& owner, int64_t timestamp, bool with_sizes)
      : objects_(objects), owner_(owner), timestamp_(timestamp), with_sizes_(with_sizes) {}

  IndexStat directory(std::string_view path, InodeNumber inode) override;
  void entries(std::string_view path, InodeNumber inode, const Tree& tree, std::span<IndexStat> stats) override;
  bool is_cached(const ObjectId& oid) override { return objects_.is_cached(oid); }

 private:
  IndexStat common(InodeNumber inode) const;

  ObjectStore& objects_;
  const UserIds owner_;
  const int64_t timestamp_;
  const bool with_sizes_;
};

}  // namespace artifactfs
