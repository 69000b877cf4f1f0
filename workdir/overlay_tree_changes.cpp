// OverlayTree's operations that change something.
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "workdir/overlay_change.h"
#include "workdir/overlay_tree.h"

namespace artifactfs {

namespace {

std::string quoted(std::string_view name) { return "'" + std::string(name) + "'"; }

std::unexpected<Error> taken(std::string_view name) {
  return fail(ErrorCode::already_exists, "cannot make " + quoted(name), "the name exists");
}
std::unexpected<Error> missing(std::string_view name) {
  return fail(ErrorCode::not_found, "cannot find " + quoted(name), "no such entry");
}

// Who changes an owner loses the file's privileges, as chown(2) says; without group execution S_ISGID means mandatory
// locking, and stays.
uint32_t without_privileges(uint32_t mode) {
  if (S_ISDIR(mode)) return mode;
  mode &= ~uint32_t{S_ISUID};
  if ((mode & S_IXGRP) != 0) mode &= ~uint32_t{S_ISGID};
  return mode;
}

}  // namespace

// ---- Change

Result<InodeRow*> OverlayTree::Change::row(InodeNumber inode) {
  for (auto& [number, row] : edit.put_inodes) {
    if (number == inode) return &row;
  }
  InodeRow row;
  if (const auto* node = tree_.state_.node(inode)) {
    row = node->row;
  } else {
    TRY_ASSIGN(const InodeView untouched, tree_.view(inode));
    row = tree_.base_row(*untouched.base);
  }
  return &edit.put_inodes.emplace_back(inode, std::move(row)).second;
}

Result<void> OverlayTree::Change::touch(InodeNumber directory) {
  TRY_ASSIGN(InodeRow * row, this->row(directory));
  row->mtime = row->ctime = time_;
  return {};
}

void OverlayTree::Change::put_name(const Slot& slot, InodeNumber inode) {
  const uint64_t row = slot.dentry != nullptr ? slot.dentry->row : next_row_++;
  edit.put_dentries.push_back({row, slot.parent, std::string(slot.name), inode});
}

Result<void> OverlayTree::Change::remove_name(const Slot& slot) {
  if (slot.in_base) {
    put_name(slot, 0);
  } else if (slot.dentry != nullptr) {
    edit.delete_dentries.push_back({slot.dentry->row, slot.parent, std::string(slot.name), 0});
  }
  if (slot.dentry != nullptr) return {};
  TRY_ASSIGN(InodeRow * row, this->row(slot.inode));
  row->at_base_position = false;
  return {};
}

Result<OverlayTree::Gone> OverlayTree::Change::drop_link(const Slot& slot) {
  TRY_ASSIGN(InodeRow * row, this->row(slot.inode));
  if (slot.dentry == nullptr) row->at_base_position = false;
  row->ctime = time_;
  if (--row->links > 0) return Gone();
  if (slot.directory) {
    // All that is left in it are whiteouts.
    if (const auto* directory = tree_.state_.directory(slot.inode)) {
      for (const auto& [name, dentry] : directory->names) {
        edit.delete_dentries.push_back({dentry.row, slot.inode, name, 0});
      }
    }
  }
  if (tree_.lookups_.contains(slot.inode)) return Gone();  // an orphan: goes when the kernel forgets it
  const bool upper = row->data == DataSource::upper;
  std::erase_if(edit.put_inodes, [&](const auto& put) { return put.first == slot.inode; });
  if (tree_.state_.node(slot.inode) != nullptr) edit.delete_inodes.push_back(slot.inode);
  return upper ? Gone(slot.inode) : Gone();
}

Result<void> OverlayTree::Change::commit(bool frees) {
  TRY(tree_.commit(edit, frees));
  tree_.next_row_ = next_row_;
  return {};
}

// ---- making

Result<void> OverlayTree::check_name(InodeNumber parent, std::string_view name) const {
  if (name.size() > Filesystem::kNameMaxBytes) {
    return fail(ErrorCode::name_too_long, "cannot use the name " + quoted(name), "it is too long");
  }
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos) {
    return fail(ErrorCode::invalid_argument, "cannot use the name " + quoted(name), "not a name");
  }
  if (parent == kRootInode && name == kGitfileName) {
    return fail(ErrorCode::permission_denied, "cannot change '.git'", "it belongs to the mount");
  }
  return {};
}

Result<void> OverlayTree::may_create(InodeNumber parent, std::string_view name) {
  if (parent == kRootInode && name == kGitfileName) return taken(name);
  TRY(check_name(parent, name));
  MutexLock lock(mutex_);
  TRY_ASSIGN(const Slot free, slot(parent, name));
  if (free.exists()) return taken(name);
  return {};
}

Result<InodeView> OverlayTree::create(const Caller& caller, InodeNumber parent, std::string_view name,
                                      InodeNumber inode, InodeRow row) {
  TRY(check_name(parent, name));
  MutexLock lock(mutex_);
  TRY_ASSIGN(const Slot free, slot(parent, name));
  if (free.exists()) return taken(name);
  Change change(*this, now());
  TRY_ASSIGN(InodeRow * directory, change.row(parent));
  directory->mtime = directory->ctime = change.time();
  row.uid = caller.uid;
  row.gid = caller.gid;
  if ((directory->mode & S_ISGID) != 0) {
    row.gid = directory->gid;
    if (S_ISDIR(row.mode)) row.mode |= S_ISGID;
  }
  row.atime = row.mtime = row.ctime = change.time();
  const bool is_directory = S_ISDIR(row.mode);
  change.edit.put_inodes.emplace_back(inode, std::move(row));
  change.put_name(free, inode);
  change.record_name(free, is_directory);
  TRY(change.commit());
  ++lookups_[inode];
  return view(inode);
}

Result<InodeView> OverlayTree::create_nameless(const Caller& caller, InodeNumber parent, InodeNumber inode,
                                               InodeRow row) {
  MutexLock lock(mutex_);
  TRY(check_directory(parent));
  Change change(*this, now());
  TRY_ASSIGN(const InodeView directory, view(parent));
  row.uid = caller.uid;
  row.gid = directory.row && (directory.row->mode & S_ISGID) != 0 ? directory.row->gid : caller.gid;
  row.links = 0;
  row.atime = row.mtime = row.ctime = change.time();
  change.edit.put_inodes.emplace_back(inode, std::move(row));
  TRY(change.commit());
  ++lookups_[inode];
  return view(inode);
}

Result<InodeView> OverlayTree::link(InodeNumber inode, InodeNumber new_parent, std::string_view new_name) {
  if (new_parent == kRootInode && new_name == kGitfileName) return taken(new_name);
  TRY(check_name(new_parent, new_name));
  MutexLock lock(mutex_);
  TRY_ASSIGN(const Slot free, slot(new_parent, new_name));
  if (free.exists()) return taken(new_name);
  Change change(*this, now());
  TRY_ASSIGN(InodeRow * row, change.row(inode));
  if (S_ISDIR(row->mode)) {
    return fail(ErrorCode::permission_denied, "cannot link " + quoted(new_name), "directories have one name");
  }
  ++row->links;
  row->ctime = change.time();
  TRY(change.touch(new_parent));
  change.put_name(free, inode);
  change.record_name(free, false);
  TRY(change.commit());
  ++lookups_[inode];
  return view(inode);
}

// ---- removing

Result<OverlayTree::Gone> OverlayTree::unlink(InodeNumber parent, std::string_view name) {
  TRY(check_name(parent, name));
  MutexLock lock(mutex_);
  TRY_ASSIGN(const Slot old, slot(parent, name));
  if (!old.exists()) return missing(name);
  if (old.directory) return fail(ErrorCode::is_directory, "cannot unlink " + quoted(name), "it is a directory");
  Change change(*this, now());
  TRY(change.touch(parent));
  TRY(change.remove_name(old));
  TRY_ASSIGN(const Gone gone, change.drop_link(old));
  change.record_name(old, false);
  TRY(change.commit(true));
  return gone;
}

Result<void> OverlayTree::rmdir(InodeNumber parent, std::string_view name) {
  TRY(check_name(parent, name));
  MutexLock lock(mutex_);
  TRY_ASSIGN(const Slot old, slot(parent, name));
  if (!old.exists()) return missing(name);
  if (!old.directory) return fail(ErrorCode::not_directory, "cannot remove " + quoted(name), "it is no directory");
  TRY_ASSIGN(const bool empty, is_empty(old.inode));
  if (!empty) return fail(ErrorCode::not_empty, "cannot remove " + quoted(name), "it is not empty");
  Change change(*this, now());
  TRY(change.touch(parent));
  TRY(change.remove_name(old));
  TRY(change.drop_link(old));
  change.record_name(old, true);
  return change.commit(true);
}

// ---- moving

Result<void> OverlayTree::check_rename(const Slot& from, const Slot& to, RenameMode mode) {
  const std::string sentence = "cannot rename " + quoted(from.name) + " to " + quoted(to.name);
  if (!from.exists() || (mode == RenameMode::exchange && !to.exists())) {
    return fail(ErrorCode::not_found, sentence, "no such entry");
  }
  if (mode == RenameMode::no_replace && to.exists()) return fail(ErrorCode::already_exists, sentence, "it exists");
  if (from.directory) {
    TRY_ASSIGN(const bool into_itself, is_within(to.parent, from.inode));
    if (into_itself) return fail(ErrorCode::invalid_argument, sentence, "a directory cannot move into itself");
  }
  if (mode == RenameMode::exchange) {
    if (!to.directory) return {};
    TRY_ASSIGN(const bool into_itself, is_within(from.parent, to.inode));
    if (into_itself) return fail(ErrorCode::invalid_argument, sentence, "a directory cannot move into itself");
    return {};
  }
  if (!to.exists() || to.inode == from.inode) return {};
  if (from.directory && !to.directory) return fail(ErrorCode::not_directory, sentence, "the target is no directory");
  if (to.directory) {
    TRY_ASSIGN(const bool empty, is_empty(to.inode));
    if (!from.directory) {
      TRY_ASSIGN(const bool above, is_within(from.parent, to.inode));
      if (above) return fail(ErrorCode::not_empty, sentence, "the target is not empty");
      return fail(ErrorCode::is_directory, sentence, "the target is a directory");
    }
    if (!empty) return fail(ErrorCode::not_empty, sentence, "the target is not empty");
  }
  return {};
}

Result<OverlayTree::Gone> OverlayTree::rename(InodeNumber parent, std::string_view name, InodeNumber new_parent,
                                              std::string_view new_name, RenameMode mode) {
  TRY(check_name(parent, name));
  TRY(check_name(new_parent, new_name));
  MutexLock lock(mutex_);
  TRY_ASSIGN(const Slot from, slot(parent, name));
  TRY_ASSIGN(const Slot to, slot(new_parent, new_name));
  TRY(check_rename(from, to, mode));
  if (to.inode == from.inode) return Gone();  // two names of one inode: POSIX says that nothing happens

  Change change(*this, now());
  TRY(change.touch(parent));
  TRY(change.touch(new_parent));
  TRY_ASSIGN(InodeRow * moved, change.row(from.inode));
  moved->ctime = change.time();
  Gone gone;
  if (mode == RenameMode::exchange) {
    TRY_ASSIGN(InodeRow * other, change.row(to.inode));
    other->ctime = change.time();
    if (from.dentry == nullptr) moved->at_base_position = false;
    if (to.dentry == nullptr) other->at_base_position = false;
    change.put_name(from, to.inode);
  } else {
    if (to.exists()) {
      TRY_ASSIGN(gone, change.drop_link(to));
    }
    TRY(change.remove_name(from));
  }
  change.put_name(to, from.inode);
  // Of each name, what it was and what it is now: git keeps files and directories apart.
  change.record_name(from, from.directory);
  change.record_name(to, from.directory);
  if (to.exists() && to.directory != from.directory) {
    change.record_name(from, to.directory);
    change.record_name(to, to.directory);
  }
  TRY(change.commit(true));
  return gone;
}

// ---- inodes

Result<InodeView> OverlayTree::set_attributes(InodeNumber inode, const AttributeChange& wanted) {
  MutexLock lock(mutex_);
  Change change(*this, now());
  TRY_ASSIGN(InodeRow * row, change.row(inode));
  if (wanted.mode) row->mode = (row->mode & S_IFMT) | (*wanted.mode & 07777);
  if (wanted.uid) row->uid = *wanted.uid;
  if (wanted.gid) row->gid = *wanted.gid;
  const bool owner_changes = wanted.uid || wanted.gid;
  if ((owner_changes && !wanted.mode) || wanted.kill_privileges) row->mode = without_privileges(row->mode);
  if (wanted.atime) row->atime = *wanted.atime;
  if (wanted.mtime) row->mtime = *wanted.mtime;
  if (wanted.atime_now) row->atime = change.time();
  if (wanted.mtime_now) row->mtime = change.time();
  row->ctime = change.time();
  change.record_content(inode);
  TRY(change.commit(true));
  return view(inode);
}

Result<void> OverlayTree::set_upper(InodeNumber inode) {
  MutexLock lock(mutex_);
  Change change(*this, now());
  TRY_ASSIGN(InodeRow * row, change.row(inode));
  row->data = DataSource::upper;
  change.record_content(inode);
  return change.commit(true);
}

Result<void> OverlayTree::set_xattr(InodeNumber inode, std::string_view name, std::optional<std::string_view> value,
                                    XattrMode mode) {
  const std::string sentence = "cannot change attribute " + quoted(name);
  MutexLock lock(mutex_);
  Change change(*this, now());
  TRY_ASSIGN(InodeRow * row, change.row(inode));
  if (!S_ISREG(row->mode) && !S_ISDIR(row->mode)) {
    return fail(ErrorCode::permission_denied, sentence, "only files and directories have user attributes");
  }
  const auto* node = state_.node(inode);
  size_t bytes = 0;
  bool exists = false;
  if (node != nullptr && node->xattrs != nullptr) {
    for (const auto& [other, content] : *node->xattrs) {
      if (other == name) {
        exists = true;
      } else {
        bytes += sizeof(uint64_t) * 2 + other.size() + content.size();
      }
    }
  }
  if (exists && mode == XattrMode::create) return fail(ErrorCode::already_exists, sentence, "it exists");
  if (!exists && (mode == XattrMode::replace || !value)) return fail(ErrorCode::no_attribute, sentence, "it is absent");
  if (value && bytes + sizeof(uint64_t) * 2 + name.size() + value->size() > kXattrBytes) {
    return fail(ErrorCode::no_space, sentence, "the attributes of one file would be too large");
  }
  row->ctime = change.time();
  XattrRow changed{inode, std::string(name), std::nullopt};
  if (value) changed.value = std::string(*value);
  change.edit.xattrs.push_back(std::move(changed));
  return change.commit(!value);
}

}  // namespace artifactfs
