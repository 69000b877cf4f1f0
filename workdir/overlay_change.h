// OverlayTree::Slot and Change: how an operation of OverlayTree says what it changes. Only for overlay_tree*.cpp.
#pragma once

#include "workdir/overlay_tree.h"

namespace artifactfs {

/// A name in a directory, and what is there now. Valid until the next commit.
struct OverlayTree::Slot {
  InodeNumber parent = 0;
  std::string_view name;
  InodeNumber inode = 0;  // 0: the name is free
  bool directory = false;
  const OverlayState::Dentry* dentry = nullptr;  // the overlay's word about the name, a whiteout too
  bool in_base = false;                          // the base has the name
  bool exists() const { return inode != 0; }
};

/// Collects the rows of one operation. Lives and is used under the tree's lock (which the analysis cannot see, knowing
/// it by another name).
class OverlayTree::Change {
 public:
  Change(OverlayTree& tree, Timestamp time) NO_THREAD_SAFETY_ANALYSIS : tree_(tree),
                                                                        time_(time),
                                                                        next_row_(tree.next_row_) {
    edit.put_inodes.reserve(kInodesAtMost);
  }

  /// The row of an inode, to be changed; made for an untouched base inode. Stays valid.
  Result<InodeRow*> row(InodeNumber inode) NO_THREAD_SAFETY_ANALYSIS;
  /// The directory's entries have changed.
  Result<void> touch(InodeNumber directory) NO_THREAD_SAFETY_ANALYSIS;
  void put_name(const Slot& slot, InodeNumber inode);
  /// Takes the name away from what has it; the inode stays.
  Result<void> remove_name(const Slot& slot) NO_THREAD_SAFETY_ANALYSIS;
  /// What is at `slot` loses that name (which the caller removes or gives to another), and perhaps its life. Says
  /// whether it had a file in upper/ and nobody refers to it any more.
  Result<Gone> drop_link(const Slot& slot) NO_THREAD_SAFETY_ANALYSIS;
  void record_name(const Slot& slot, bool directory) NO_THREAD_SAFETY_ANALYSIS {
    tree_.journal_.record(edit, {slot.parent, std::string(slot.name), directory});
  }
  void record_content(InodeNumber inode) NO_THREAD_SAFETY_ANALYSIS {
    tree_.journal_.record(edit, {inode, std::nullopt, false});
  }
  Result<void> commit(bool frees = false) NO_THREAD_SAFETY_ANALYSIS;
  Timestamp time() const { return time_; }

  OverlayEdit edit;

 private:
  static constexpr size_t kInodesAtMost = 8;
  OverlayTree& tree_;
  const Timestamp time_;
  uint64_t next_row_;
};

}  // namespace artifactfs
