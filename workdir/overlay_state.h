// OverlayState: all rows of overlay.db in memory, indexed as lookups need them: what has no node and whose directory
// has no entry here is untouched, and overlay.db is never asked. About 300 bytes a changed file.
//
// Not thread-safe: guarded by the overlay's lock.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "workdir/overlay_rows.h"

namespace artifactfs {

/// Hash of names that takes views without copying them.
struct NameHash {
  using is_transparent = void;
  size_t operator()(std::string_view name) const noexcept { return std::hash<std::string_view>{}(name); }
};

class OverlayState {
 public:
  using Xattrs = std::map<std::string, std::string, std::less<>>;

  /// Whether the base tree has an entry of that name, and what.
  enum class BaseName { none, file, directory };
  using BaseNameOf = std::function<BaseName(InodeNumber parent, std::string_view name)>;

  struct Link {
    InodeNumber parent;
    std::string_view name;  // the key in Directory::names
  };
  struct Node {
    InodeRow row;
    std::vector<Link> links;  // dentry rows that name it
    std::unique_ptr<Xattrs> xattrs;
  };
  struct Dentry {
    InodeNumber inode = 0;  // 0: a whiteout
    uint64_t row = 0;
    BaseName base = BaseName::none;
    bool directory = false;
  };
  /// The names that the overlay gives to, or takes from, one directory.
  struct Directory {
    std::unordered_map<std::string, Dentry, NameHash, std::equal_to<>> names;
    std::map<uint64_t, std::string_view> added;  // names that the base does not have, by row
    uint64_t whiteouts = 0;
    /// Subdirectories more (or less) than the base tree has.
    int64_t subdirectories = 0;
  };

  explicit OverlayState(BaseNameOf base_name_of) : base_name_of_(std::move(base_name_of)) {}

  /// Null when there is no row.
  const Node* node(InodeNumber inode) const;
  const Directory* directory(InodeNumber inode) const;
  const Dentry* dentry(InodeNumber parent, std::string_view name) const;
  const std::unordered_map<InodeNumber, Node>& nodes() const { return nodes_; }
  const std::unordered_map<InodeNumber, Directory>& directories() const { return directories_; }

  void apply(const OverlayEdit& edit);
  void put_inode(InodeNumber inode, InodeRow row);
  /// The inode, if any, must have been put.
  void put_dentry(const DentryRow& row);
  void put_xattr(const XattrRow& row);
  void erase_inode(InodeNumber inode) { nodes_.erase(inode); }

  uint64_t next_dentry_row() const { return next_row_; }

 private:
  void delete_dentry(InodeNumber parent, std::string_view name);
  /// Takes a dentry's share out of its directory's sums and its inode's links.
  void withdraw(Directory& directory, InodeNumber parent, const std::string& name, const Dentry& dentry);

  const BaseNameOf base_name_of_;
  std::unordered_map<InodeNumber, Node> nodes_;
  std::unordered_map<InodeNumber, Directory> directories_;
  uint64_t next_row_ = 1;
};

}  // namespace artifactfs
