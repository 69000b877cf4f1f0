// ChangeJournal: which changes must be written down, and what a token means.
//
// A token is "<journal id>:<seq>": everything recorded with a higher seq happened after it was handed out. Something
// recorded since the last token was handed out is not recorded again: whoever asks with any token is told of it. So the
// second and all later writes to a file cost nothing. Paths are not stored but computed when asked for (overlay_tree).
//
// The id is drawn anew when the overlay is made, when the machine has been down since (the journal is not synced before
// what it records), and when a change could not be recorded. Rows are bounded by kRows; a token older than the oldest
// row is unknown.
//
// Not thread-safe: guarded by the overlay's lock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "workdir/overlay_db.h"

namespace artifactfs {

class ChangeJournal {
 public:
  static constexpr int64_t kRows = int64_t{1} << 17;

  /// `db` must outlive this.
  static Result<ChangeJournal> open(OverlayDb& db);

  /// Adds `row` to `edit` unless it need not be recorded. Call discard() when the edit was not committed.
  void record(OverlayEdit& edit, JournalRow row);
  void discard() { recorded_.clear(); }
  /// Whether a change of the inode's content is known to whoever asks next.
  bool is_content_recorded(InodeNumber inode) const { return recorded_.contains(key(inode, nullptr, false)); }
  /// Counts tokens handed out.
  uint64_t generation() const { return generation_; }

  /// A token for now.
  std::string hand_out();
  /// The seq of a token of this journal that is not too old.
  std::optional<int64_t> parse(std::string_view token);
  /// Drops the oldest rows when there are too many. After commits, now and then.
  void trim();
  /// No token handed out so far means anything any more.
  void invalidate();

 private:
  explicit ChangeJournal(OverlayDb& db) : db_(&db) {}
  Result<void> draw_id();
  static std::string key(InodeNumber inode, const std::string* name, bool directory);

  OverlayDb* db_;
  std::string id_;
  bool id_is_stored_ = true;
  int64_t floor_ = 0;  // tokens below it are too old
  int64_t trim_at_ = kRows;
  uint64_t generation_ = 0;
  std::unordered_set<std::string> recorded_;  // since the last token was handed out
};

}  // namespace artifactfs
