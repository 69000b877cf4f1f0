// What overlay.db holds, as values, and OverlayEdit: the rows that one operation changes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/object_id.h"
#include "workdir/filesystem.h"

namespace artifactfs {

/// Where an inode's content is.
enum class DataSource : uint8_t {
  none = 0,   // directories, FIFOs, new symlinks (their target is in the row)
  upper = 1,  // upper/<inode>; then size, blocks, atime and mtime are that file's
  base = 2,   // a blob of the base tree
};

/// An inode that the user made or changed. Others have no row.
struct InodeRow {
  uint32_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  /// Names: dentry rows, and 1 for the place in the base tree if the inode is still there. 0: an orphan, alive only as
  /// long as the kernel refers to it. Of a directory 1 or 0 (st_nlink is computed).
  uint32_t links = 1;
  bool at_base_position = false;
  DataSource data = DataSource::none;
  uint64_t device = 0;
  ObjectId base_oid;  // of a base inode
  Timestamp atime, mtime, ctime;
  std::string target;  // of a new symlink
};

/// A name that the overlay gives or (inode 0: a whiteout) takes away.
struct DentryRow {
  uint64_t row = 0;  // the readdir cookie of a name that the base does not have
  InodeNumber parent = 0;
  std::string name;
  InodeNumber inode = 0;
};

struct XattrRow {
  InodeNumber inode = 0;
  std::string name;
  std::optional<std::string> value;  // absent: removed
};

/// A change that the journal knows: of what `inode` contains (no name), or of the entry `name` in the directory
/// `inode`.
struct JournalRow {
  InodeNumber inode = 0;
  std::optional<std::string> name;
  bool directory = false;  // all that is below the entry may have changed
};

/// What one operation changes, applied whole or not at all: to overlay.db in one transaction, then to memory.
struct OverlayEdit {
  std::vector<std::pair<InodeNumber, InodeRow>> put_inodes;  // each inode once
  std::vector<InodeNumber> delete_inodes;                    // with their xattrs
  std::vector<DentryRow> put_dentries;
  std::vector<DentryRow> delete_dentries;
  std::vector<XattrRow> xattrs;
  std::vector<JournalRow> journal;
};

}  // namespace artifactfs
