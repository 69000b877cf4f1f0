#include "workdir/untracked_cache.h"

#include <algorithm>
#include <span>

#include "base/sha1.h"
#include "base/unique_fd.h"
#include "workdir/index_bytes.h"

namespace artifactfs {

namespace {

// DIR_SHOW_OTHER_DIRECTORIES | DIR_HIDE_EMPTY_DIRECTORIES: what `git status` asks for unless told otherwise. git throws
// the cache away when status.showUntrackedFiles says so.
constexpr uint32_t kDirectoryFlags = (1 << 1) | (1 << 2);
constexpr uint64_t kMaxIgnoreFileBytes = uint64_t{100} << 20;  // git's own limit

struct DirectoryBlocks {
  std::string blocks;
  std::vector<bool> valid, check_only, has_gitignore;
  std::string stats;
  std::string oids;
};

void put_directory(DirectoryBlocks& out, const IndexDirectory& directory, const std::string& path,
                   IndexStatSource& stats) {
  put_varint(out.blocks, 0);  // untracked entries
  put_varint(out.blocks, directory.children.size());
  out.blocks.append(directory.name) += '\0';
  const bool has_gitignore = !directory.gitignore.is_null();
  const bool is_readable = has_gitignore && stats.is_cached(directory.gitignore);
  out.valid.push_back(true);
  out.check_only.push_back(false);
  out.has_gitignore.push_back(is_readable);
  put_stat_data(out.stats, has_gitignore && !is_readable ? IndexStat{} : stats.directory(path, directory.inode));
  if (is_readable) put_oid(out.oids, directory.gitignore);
}

// Depth first, subdirectories by name (git looks them up by binary search, comparing bytes; its trees are ordered as if
// directories' names ended in '/').
DirectoryBlocks directory_blocks(const std::vector<IndexDirectory>& directories, IndexStatSource& stats) {
  struct Level {
    uint32_t directory;
    size_t parent_path_bytes;
  };
  DirectoryBlocks out;
  std::string path;
  std::vector<Level> stack = {{0, 0}};
  while (!stack.empty()) {
    const Level level = stack.back();
    stack.pop_back();
    const IndexDirectory& directory = directories[level.directory];
    path.resize(level.parent_path_bytes);
    path.append(directory.name);
    if (level.directory != 0) path += '/';
    put_directory(out, directory, path, stats);
    std::vector<uint32_t> children = directory.children;
    std::ranges::sort(children,
                      [&](uint32_t a, uint32_t b) { return directories[a].name > directories[b].name; });  // a stack
    for (const uint32_t child : children) stack.push_back({child, path.size()});
  }
  return out;
}

}  // namespace

Result<ObjectId> ignore_file_oid(const std::filesystem::path& path) {
  if (path.empty()) return ObjectId{};
  auto content = read_file(path, kMaxIgnoreFileBytes);
  if (!content && content.error().code == ErrorCode::not_found) return ObjectId{};
  if (!content) return fail(content.error());
  if (!content->empty()) *content += '\n';
  return hash_object(ObjectType::blob, std::as_bytes(std::span(*content)));
}

Result<std::string> untracked_cache(const GitIndexSpec& spec, const std::vector<IndexDirectory>& directories,
                                    IndexStatSource& stats) {
  std::string ident = "Location " + spec.work_tree.string() + ", system Linux";
  ident += '\0';
  std::string out;
  put_varint(out, ident.size());
  out.append(ident);
  // Stat data of the two files only spare git a hash; it looks at the oids.
  put_stat_data(out, {});
  put_stat_data(out, {});
  put_u32(out, kDirectoryFlags);
  TRY_ASSIGN(const ObjectId info_exclude, ignore_file_oid(spec.git_directory / "info/exclude"));
  put_oid(out, info_exclude);
  TRY_ASSIGN(const ObjectId excludes_file, ignore_file_oid(spec.excludes_file));
  put_oid(out, excludes_file);
  out.append(".gitignore") += '\0';
  const DirectoryBlocks blocks = directory_blocks(directories, stats);
  put_varint(out, directories.size());
  out.append(blocks.blocks);
  put_bitmap(out, blocks.valid);
  put_bitmap(out, blocks.check_only);
  put_bitmap(out, blocks.has_gitignore);
  out.append(blocks.stats).append(blocks.oids);
  out += '\0';
  return out;
}

}  // namespace artifactfs
