#include "workdir/overlay_check.h"

#include <sys/stat.h>

#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "workdir/overlay_db.h"
#include "workdir/upper_files.h"

namespace artifactfs {

namespace {

class Check {
 public:
  Check(OverlayDb& db, UpperFiles& upper, bool repair) : db_(db), upper_(upper), repair_(repair) {}

  Result<std::vector<OverlayFinding>> run() {
    OverlayDb::Loader loader;
    loader.inode = [this](InodeNumber inode, InodeRow row) { inodes_.emplace(inode, std::move(row)); };
    loader.dentry = [this](DentryRow row) { dentries_.push_back(std::move(row)); };
    loader.xattr = [this](const XattrRow& row) { xattrs_.insert(row.inode); };
    TRY(db_.load(loader));
    check_names();
    check_links();
    remove_orphans();
    TRY(check_upper());
    if (repair_) TRY(db_.commit(edit_));
    // Files go after the rows that name them.
    for (const InodeNumber inode : doomed_) TRY(upper_.remove(inode));
    return std::move(findings_);
  }

 private:
  using Kind = OverlayFinding::Kind;
  void found(Kind kind, std::string text, bool repaired) { findings_.push_back({kind, std::move(text), repaired}); }
  static std::string named(InodeNumber inode) { return "inode " + std::to_string(inode); }

  void check_names() {
    std::set<std::pair<InodeNumber, std::string_view>> names;
    for (const DentryRow& dentry : dentries_) {
      const std::string where = "the name '" + dentry.name + "' in " + named(dentry.parent);
      bool good = true;
      if (!names.emplace(dentry.parent, dentry.name).second) {
        found(Kind::damage, where + " stands twice", repair_);
        good = false;
      } else if (dentry.inode != 0 && !inodes_.contains(dentry.inode)) {
        found(Kind::damage, where + " is of " + named(dentry.inode) + ", which does not exist", repair_);
        good = false;
      } else if (const auto parent = inodes_.find(dentry.parent);
                 parent == inodes_.end() ? dentry.parent >= kGitfileInode : !S_ISDIR(parent->second.mode)) {
        found(Kind::damage, where + " is in no directory", repair_);
        good = false;
      }
      if (!good) {
        edit_.delete_dentries.push_back(dentry);
      } else if (dentry.inode != 0) {
        ++names_of_[dentry.inode];
      }
    }
    for (const InodeNumber inode : xattrs_) {
      if (inodes_.contains(inode)) continue;
      found(Kind::damage, "attributes of " + named(inode) + ", which does not exist", repair_);
      edit_.delete_inodes.push_back(inode);
    }
  }

  void check_links() {
    for (auto& [inode, row] : inodes_) {
      const uint32_t expected = names_of_[inode] + (row.at_base_position ? 1 : 0);
      if (row.links == expected) continue;
      found(Kind::damage,
            named(inode) + " says it has " + std::to_string(row.links) + " names, and has " + std::to_string(expected),
            repair_);
      row.links = expected;
      if (expected != 0) edit_.put_inodes.emplace_back(inode, row);
    }
  }

  void remove_orphans() {
    for (auto it = inodes_.begin(); it != inodes_.end();) {
      if (it->second.links != 0) {
        ++it;
        continue;
      }
      found(Kind::leftover, named(it->first) + " was removed while it was open", repair_);
      edit_.delete_inodes.push_back(it->first);
      it = inodes_.erase(it);  // its file in upper/ is an orphan too
    }
  }

  Result<void> check_upper() {
    TRY_ASSIGN(const auto names, upper_.list());
    std::set<InodeNumber> files(names.files.begin(), names.files.end());
    for (const InodeNumber inode : names.temporaries) {
      const auto row = inodes_.find(inode);
      const bool complete = row != inodes_.end() && row->second.data == DataSource::upper && !files.contains(inode);
      found(Kind::leftover, "a copy of " + named(inode) + (complete ? " was not in place" : " was not finished"),
            repair_);
      if (!repair_) continue;
      if (complete) {
        TRY(upper_.publish(inode));
        files.insert(inode);
      } else {
        upper_.remove_temporary(inode);
      }
    }
    for (const InodeNumber inode : files) {
      const auto row = inodes_.find(inode);
      if (row != inodes_.end() && row->second.data == DataSource::upper) continue;
      found(Kind::leftover, "the data of " + named(inode) + " belong to no file", repair_);
      if (repair_) doomed_.push_back(inode);
    }
    for (const auto& [inode, row] : inodes_) {
      if (row.data != DataSource::upper || files.contains(inode)) continue;
      // Made, never synced, and then the power failed: as after a crash of ext4, the file is there and empty.
      found(Kind::damage, "the data of " + named(inode) + " are missing; the file is empty now", repair_);
      if (repair_) TRY(upper_.create(inode));
    }
    for (const auto& name : names.unknown) found(Kind::damage, "'" + name + "' in upper/ is not ours", false);
    return {};
  }

  OverlayDb& db_;
  UpperFiles& upper_;
  const bool repair_;
  std::map<InodeNumber, InodeRow> inodes_;
  std::vector<DentryRow> dentries_;
  std::set<InodeNumber> xattrs_;
  std::unordered_map<InodeNumber, uint32_t> names_of_;
  OverlayEdit edit_;
  std::vector<InodeNumber> doomed_;
  std::vector<OverlayFinding> findings_;
};

}  // namespace

Result<std::vector<OverlayFinding>> check_overlay(const std::filesystem::path& directory, bool repair) {
  TRY_ASSIGN(const auto db, OverlayDb::open(directory / "overlay.db"));
  TRY_ASSIGN(const auto upper, UpperFiles::open(directory / "upper"));
  Check check(*db, *upper, repair);
  return check.run();
}

}  // namespace artifactfs
