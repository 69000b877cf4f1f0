// Tree: one git tree object, immutable, in the packed form that index.db stores (one row a tree).
//
// Every entry carries its *rank*: its position in a preorder walk of the tree that holds it, the tree itself being 0. A
// file counts 1, a directory 1 + all that is below it. An entry's inode number is its directory's plus its rank, so
// base inode numbers are computed and need no table (DESIGN.md section 7). Trees are shared by every place that names
// them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"

namespace artifactfs {

enum class EntryKind : uint8_t { directory, file, executable, symlink, submodule };

struct TreeEntry {
  std::string_view name;  // valid while the Tree lives; any bytes but '/' and NUL
  EntryKind kind = EntryKind::file;
  ObjectId oid;
  uint64_t rank = 0;
};

/// Thread-safe (immutable). Held by shared_ptr; the row's bytes are the in-memory form, entries are decoded on access.
class Tree {
 public:
  /// Row format, little-endian, unaligned:
  ///   u32 magic 'ATR1' | u32 entry count n | u64 descendants (entries of this tree and of all below it) | u64
  ///   directories (of this tree itself) | n x { u64 rank | u32 name offset | u16 name length | u8 kind | 20 bytes oid
  ///   } | names.
  /// Entries stand in git's order (directories compare as if their name ended in '/').
  /// Refuses (ErrorCode::corrupt) a row that is malformed; checks everything once, so that accessors need not.
  static Result<std::shared_ptr<const Tree>> from_row(std::vector<std::byte> row);

  size_t size() const { return count_; }
  TreeEntry entry(size_t index) const;
  /// The entry called `name`.
  std::optional<size_t> find(std::string_view name) const;
  /// The entry with rank `rank`, or the directory below which it lies; nullopt when rank is 0 or past the end.
  std::optional<size_t> find_rank(uint64_t rank) const;
  /// All entries below this tree, at any depth.
  uint64_t descendants() const { return descendants_; }
  /// Subdirectories directly in this tree (submodules included, being shown as directories).
  uint64_t directories() const { return directories_; }
  size_t memory_bytes() const { return row_.capacity() + sizeof(Tree); }
  std::span<const std::byte> row() const { return row_; }

 private:
  Tree() = default;
  std::vector<std::byte> row_;
  uint32_t count_ = 0;
  uint64_t descendants_ = 0;
  uint64_t directories_ = 0;
};

/// One entry of a raw git tree object ("<octal mode> <name>\0<20 bytes>",
/// https://git-scm.com/book/en/v2/Git-Internals-Git-Objects).
struct RawTreeEntry {
  uint32_t mode = 0;
  std::string_view name;
  ObjectId oid;
};

/// Parses a raw tree object. Refuses truncation, unknown modes, wrong order, duplicates, and every name that git
/// refuses to check out (verify_path in git's read-cache.c): empty, ".", "..", with a slash, ".git" in any case, with
/// its HFS+ (ignorable code points) and NTFS ("git~1", trailing dots and spaces, ":stream") look-alikes, and
/// ".gitmodules" (and look-alikes) as a symlink. The error names the tree and the entry. The views point into
/// `content`.
Result<std::vector<RawTreeEntry>> parse_raw_tree(const ObjectId& oid, std::span<const std::byte> content);

/// Whether git would refuse `name` as a path component (see parse_raw_tree). `is_symlink` adds the .gitmodules rule.
bool is_refused_name(std::string_view name, bool is_symlink);

}  // namespace artifactfs
