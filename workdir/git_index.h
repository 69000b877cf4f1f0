// The git index of a mount (gitformat-index(5)), written by us so that the first `git status` touches no file.
//
// Every blob, symlink and submodule of the base tree is an entry with the stat data that the mount reports; TREE holds
// the oid of every directory (commit writes only what changed), FSMN says that every entry is as the base has it as of
// a token, UNTR that no directory has untracked files. docs/decisions/0003-git-index.md says what git 2.39 does with
// each, and why.
//
// Two passes over the trees: the first counts (the header has the number of entries), the second writes; memory is
// bounded by the number of directories.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/object_id.h"
#include "base/subprocess.h"
#include "cache/tree.h"
#include "cache/tree_index.h"
#include "workdir/filesystem.h"

namespace artifactfs {

/// What lstat(2) will say of an entry. git compares the low 32 bits of each; it ignores `device` (unless built with
/// USE_STDEV, which nobody does).
struct IndexStat {
  Timestamp ctime, mtime;
  uint32_t device = 0;
  uint32_t inode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  /// 0 when unknown: git then compares contents if it ever has to lstat the file (any other wrong size would be taken
  /// for a change without a look at the content).
  uint64_t size_bytes = 0;
};

/// Where stat data come from.
class IndexStatSource {
 public:
  virtual ~IndexStatSource() = default;
  /// The stat data of a directory itself; `path` is empty for the root, else ends in '/'.
  virtual IndexStat directory(std::string_view path, InodeNumber inode) = 0;
  /// Those of all entries of `tree`, the tree of that directory; stats[i] is entry i's. Directories may be left out.
  virtual void entries(std::string_view path, InodeNumber inode, const Tree& tree, std::span<IndexStat> stats) = 0;
  /// Whether opening a .gitignore of this oid fetches nothing.
  virtual bool is_cached(const ObjectId& oid) = 0;
};

struct GitIndexSpec {
  std::filesystem::path git_directory;
  ObjectId tree;  // in the TreeIndex with all below it
  /// As git prints it (`git rev-parse --show-toplevel`): the untracked cache is bound to it.
  std::filesystem::path work_tree;
  /// The owner's core.excludesFile (or git's default for it), so that its rules do not void the untracked cache; empty
  /// or absent: none.
  std::filesystem::path excludes_file;
  /// What `core.fsmonitor` is asked with first; from it on, the hook must know every change.
  std::string fsmonitor_token;
  UserIds owner;
};

/// Writes <git_directory>/index: beside it first, then index.lock is held for the moment of replacing it. `expected`:
/// the checksum (trailer) of the index to replace; without it there must be no index yet. Returns the new index's
/// checksum, or nullopt when the index that is there is another one (git or the user has written it since) or
/// index.lock is taken: then nothing was changed, and the caller lets it be, for git fills in what it lstat()s itself.
/// To fill in sizes that were unknown, call it again with the checksum that it returned.
Result<std::optional<ObjectId>> write_git_index(const GitIndexSpec& spec, TreeIndex& trees, IndexStatSource& stats,
                                                const std::optional<ObjectId>& expected);

}  // namespace artifactfs
