// TreeIndex: index.db, what is known of one remote's commits, trees, refs and blob sizes.
//
// Disposable: everything in it can be fetched again. One row a tree (tree.h); trees are keyed by tree id, so two
// commits share all unchanged directories. Several processes may have the same index.db open.
//
// Thread-safe. Reads use a connection per calling thread's turn from a small pool and an LRU of decoded trees; they
// never wait for the writer. Writes are serialized by one mutex that no read takes.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"
#include "cache/tree.h"

namespace artifactfs {

struct CommitRow {
  ObjectId oid;
  ObjectId tree;
  int64_t committer_time = 0;  // seconds since the epoch
};

struct RefRow {
  std::string name;  // full, e.g. "refs/heads/main" or "HEAD"
  ObjectId oid;
  std::optional<ObjectId> peeled;              // of an annotated tag
  std::optional<std::string> symbolic_target;  // of HEAD
  friend bool operator==(const RefRow&, const RefRow&) = default;
};

class TreeIndex {
 public:
  /// Upper bound of the LRU of decoded trees.
  static constexpr size_t kTreeCacheBytes = size_t{24} << 20;

  static Result<std::unique_ptr<TreeIndex>> open(const std::filesystem::path& path);
  virtual ~TreeIndex() = default;

  /// ErrorCode::not_found when the tree is not in the index.
  virtual Result<std::shared_ptr<const Tree>> tree(const ObjectId& oid) = 0;
  /// True when the tree and all trees below it are in the index (trees are stored bottom-up, so presence is enough).
  virtual bool has_tree(const ObjectId& oid) = 0;

  /// Raw trees as they came out of a pack, by oid.
  using RawTrees = std::unordered_map<ObjectId, std::vector<std::byte>>;
  /// Stores `root` and all below it, from `raw` and from what is stored already, in one transaction. Fails with
  /// ErrorCode::not_found naming the tree when one is in neither; with parse_raw_tree's error when one is refused.
  virtual Result<void> import_trees(const ObjectId& root, const RawTrees& raw) = 0;

  virtual Result<void> put_commit(const CommitRow& commit) = 0;
  virtual Result<std::optional<CommitRow>> commit(const ObjectId& oid) = 0;

  /// Replaces all refs.
  virtual Result<void> put_refs(std::span<const RefRow> refs) = 0;
  virtual Result<std::vector<RefRow>> refs() = 0;

  /// Sizes in bytes of blobs, for ever. put_sizes has committed when it returns (a size is persisted before it is told
  /// to the kernel).
  virtual Result<void> put_sizes(std::span<const std::pair<ObjectId, uint64_t>> sizes) = 0;
  virtual std::optional<uint64_t> size(const ObjectId& oid) = 0;
  /// One optional an oid, in order.
  virtual std::vector<std::optional<uint64_t>> sizes(std::span<const ObjectId> oids) = 0;

  /// Small named values (e.g. the server's capabilities as last seen).
  virtual Result<void> put_value(const std::string& key, const std::string& value) = 0;
  virtual Result<std::optional<std::string>> value(const std::string& key) = 0;
};

}  // namespace artifactfs
