#include "workdir/overlay_state.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace artifactfs {

const OverlayState::Node* OverlayState::node(InodeNumber inode) const {
  const auto found = nodes_.find(inode);
  return found == nodes_.end() ? nullptr : &found->second;
}

const OverlayState::Directory* OverlayState::directory(InodeNumber inode) const {
  const auto found = directories_.find(inode);
  return found == directories_.end() ? nullptr : &found->second;
}

const OverlayState::Dentry* OverlayState::dentry(InodeNumber parent, std::string_view name) const {
  const Directory* directory = this->directory(parent);
  if (directory == nullptr) return nullptr;
  const auto found = directory->names.find(name);
  return found == directory->names.end() ? nullptr : &found->second;
}

void OverlayState::apply(const OverlayEdit& edit) {
  for (const auto& [inode, row] : edit.put_inodes) put_inode(inode, row);
  for (const DentryRow& row : edit.delete_dentries) delete_dentry(row.parent, row.name);
  for (const DentryRow& row : edit.put_dentries) put_dentry(row);
  for (const XattrRow& row : edit.xattrs) put_xattr(row);
  for (const InodeNumber inode : edit.delete_inodes) nodes_.erase(inode);
}

void OverlayState::put_inode(InodeNumber inode, InodeRow row) { nodes_[inode].row = std::move(row); }

void OverlayState::put_dentry(const DentryRow& row) {
  Directory& directory = directories_[row.parent];
  auto [at, is_new] = directory.names.try_emplace(row.name);
  Dentry& dentry = at->second;
  if (is_new) {
    dentry.base = base_name_of_(row.parent, row.name);
  } else {
    withdraw(directory, row.parent, at->first, dentry);
  }
  dentry.inode = row.inode;
  dentry.row = row.row;
  dentry.directory = false;
  if (row.inode == 0) {
    ++directory.whiteouts;
  } else {
    Node& node = nodes_[row.inode];
    node.links.push_back({row.parent, at->first});
    dentry.directory = S_ISDIR(node.row.mode);
    if (dentry.base == BaseName::none) directory.added.emplace(row.row, at->first);
  }
  directory.subdirectories += int{dentry.directory} - int{dentry.base == BaseName::directory};
  next_row_ = std::max(next_row_, row.row + 1);
}

void OverlayState::withdraw(Directory& directory, InodeNumber parent, const std::string& name, const Dentry& dentry) {
  directory.subdirectories -= int{dentry.directory} - int{dentry.base == BaseName::directory};
  if (dentry.inode == 0) {
    --directory.whiteouts;
    return;
  }
  directory.added.erase(dentry.row);
  if (const auto found = nodes_.find(dentry.inode); found != nodes_.end()) {
    std::erase_if(found->second.links, [&](const Link& link) { return link.parent == parent && link.name == name; });
  }
}

void OverlayState::delete_dentry(InodeNumber parent, std::string_view name) {
  const auto directory = directories_.find(parent);
  if (directory == directories_.end()) return;
  const auto found = directory->second.names.find(name);
  if (found == directory->second.names.end()) return;
  withdraw(directory->second, parent, found->first, found->second);
  directory->second.names.erase(found);
  if (directory->second.names.empty()) directories_.erase(directory);
}

void OverlayState::put_xattr(const XattrRow& row) {
  auto& xattrs = nodes_[row.inode].xattrs;
  if (row.value) {
    if (xattrs == nullptr) xattrs = std::make_unique<Xattrs>();
    (*xattrs)[row.name] = *row.value;
  } else if (xattrs != nullptr) {
    xattrs->erase(row.name);
  }
}

}  // namespace artifactfs
