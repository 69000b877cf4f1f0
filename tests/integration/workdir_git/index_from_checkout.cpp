#include "tests/integration/workdir_git/index_from_checkout.h"

#include <sys/stat.h>

#include <stdexcept>

#include "tests/harness/command.h"
#include "tests/harness/git_repository.h"
#include "workdir/git2_object_database.h"

namespace artifactfs::test {

namespace {

IndexStat stat_of(const std::filesystem::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) throw std::runtime_error("cannot lstat " + path.string());
  IndexStat out;
  out.ctime = {status.st_ctim.tv_sec, static_cast<uint32_t>(status.st_ctim.tv_nsec)};
  out.mtime = {status.st_mtim.tv_sec, static_cast<uint32_t>(status.st_mtim.tv_nsec)};
  out.inode = static_cast<uint32_t>(status.st_ino);
  out.uid = status.st_uid;
  out.gid = status.st_gid;
  out.size_bytes = static_cast<uint64_t>(status.st_size);
  return out;
}

}  // namespace

IndexStat LstatSource::directory(std::string_view path, InodeNumber) {
  IndexStat stat = stat_of(path.empty() ? work_tree_ : work_tree_ / path.substr(0, path.size() - 1));
  stat.device = device;
  return stat;
}

void LstatSource::entries(std::string_view path, InodeNumber, const Tree& tree, std::span<IndexStat> stats) {
  asked();
  for (size_t i = 0; i < tree.size(); ++i) {
    stats[i] = stat_of(work_tree_ / path / tree.entry(i).name);
    stats[i].device = device;
    if (!sizes_known) stats[i].size_bytes = 0;
  }
}

ImportedTrees import_head(const std::filesystem::path& work_tree, const std::filesystem::path& path) {
  const std::string hex = run({"git", "rev-parse", "HEAD^{tree}"}, git_environment(), work_tree).substr(0, 40);
  const std::string git = run({"git", "rev-parse", "--absolute-git-dir"}, git_environment(), work_tree);
  auto database = Git2ObjectDatabase::open(std::filesystem::path(git.substr(0, git.size() - 1)) / "objects");
  if (!database) throw std::runtime_error(database.error().text());
  auto index = TreeIndex::open(path);
  if (!index) throw std::runtime_error(index.error().text());
  const ObjectId root = ObjectId::from_hex(hex).value();
  TreeIndex::RawTrees trees;
  std::vector<ObjectId> pending = {root};
  while (!pending.empty()) {
    const ObjectId oid = pending.back();
    pending.pop_back();
    if (trees.contains(oid)) continue;
    auto object = (*database)->read(oid);
    if (!object) throw std::runtime_error(object.error().text());
    const auto entries = parse_raw_tree(oid, object->content);
    if (!entries) throw std::runtime_error(entries.error().text());
    for (const auto& entry : *entries) {
      if (entry.mode == 040000) pending.push_back(entry.oid);
    }
    trees.emplace(oid, std::move(object->content));
  }
  if (auto imported = (*index)->import_trees(root, trees); !imported) {
    throw std::runtime_error(imported.error().text());
  }
  return {std::move(*index), root};
}

}  // namespace artifactfs::test
