#include "workdir/base_index_stats.h"

#include <vector>

namespace artifactfs {

IndexStat BaseIndexStats::common(InodeNumber inode) const {
  IndexStat stat;
  stat.ctime = stat.mtime = {timestamp_, 0};
  stat.inode = static_cast<uint32_t>(inode);
  stat.uid = owner_.uid;
  stat.gid = owner_.gid;
  return stat;
}

IndexStat BaseIndexStats::directory(std::string_view, InodeNumber inode) {
  IndexStat stat = common(inode);
  stat.size_bytes = kDirectoryBytes;
  return stat;
}

void BaseIndexStats::entries(std::string_view, InodeNumber inode, const Tree& tree, std::span<IndexStat> stats) {
  std::vector<ObjectId> oids(with_sizes_ ? tree.size() : 0);
  for (size_t i = 0; i < oids.size(); ++i) oids[i] = tree.entry(i).oid;
  const auto sizes = objects_.sizes_now(oids);
  for (size_t i = 0; i < stats.size(); ++i) {
    stats[i] = common(inode + tree.entry(i).rank);
    if (with_sizes_) stats[i].size_bytes = sizes[i].value_or(0);
  }
}

}  // namespace artifactfs
