#include "workdir/change_journal.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/log.h"
#include "base/unique_fd.h"

namespace artifactfs {

namespace {

constexpr std::string_view kIdKey = "journal_id", kBootKey = "journal_boot";
constexpr int64_t kTrimEvery = ChangeJournal::kRows / 16;

// Changes with every start of the machine (random(4), /proc/sys/kernel/random/boot_id).
std::string boot_id() { return read_file("/proc/sys/kernel/random/boot_id").value_or("unknown"); }

std::string random_id() {
  uint64_t number = 0;
  while (::getrandom(&number, sizeof number, 0) != sizeof number) {
  }
  return fmt::format("{:016x}", number);
}

}  // namespace

Result<ChangeJournal> ChangeJournal::open(OverlayDb& db) {
  ChangeJournal journal(db);
  TRY_ASSIGN(const auto id, db.value(kIdKey));
  TRY_ASSIGN(const auto boot, db.value(kBootKey));
  TRY_ASSIGN(const auto bounds, db.journal_bounds());
  if (bounds.first > 0) journal.floor_ = bounds.first - 1;
  journal.trim_at_ = std::max(journal.floor_ + kRows, bounds.second);
  if (id && boot == boot_id()) {
    journal.id_ = *id;
  } else {
    TRY(journal.draw_id());
  }
  return journal;
}

Result<void> ChangeJournal::draw_id() {
  id_ = random_id();
  id_is_stored_ = false;
  TRY(db_->put_value(kIdKey, id_));
  TRY(db_->put_value(kBootKey, boot_id()));
  id_is_stored_ = true;
  return {};
}

std::string ChangeJournal::key(InodeNumber inode, const std::string* name, bool directory) {
  std::string out(reinterpret_cast<const char*>(&inode), sizeof inode);
  if (name != nullptr) out.append(directory ? "/" : "=").append(*name);
  return out;
}

void ChangeJournal::record(OverlayEdit& edit, JournalRow row) {
  if (recorded_.size() >= static_cast<size_t>(kRows)) recorded_.clear();
  if (recorded_.insert(key(row.inode, row.name ? &*row.name : nullptr, row.directory)).second) {
    edit.journal.push_back(std::move(row));
  }
}

std::string ChangeJournal::hand_out() {
  if (!id_is_stored_) {
    if (auto drawn = draw_id(); !drawn) log::warning("{}", drawn.error().text());
  }
  recorded_.clear();
  ++generation_;
  return fmt::format("{}:{}", id_, db_->last_journal_seq());
}

std::optional<int64_t> ChangeJournal::parse(std::string_view token) {
  if (!token.starts_with(id_) || token.size() <= id_.size() || token[id_.size()] != ':') return std::nullopt;
  token.remove_prefix(id_.size() + 1);
  int64_t seq = 0;
  const auto parsed = std::from_chars(token.data(), token.data() + token.size(), seq);
  if (parsed.ec != std::errc{} || parsed.ptr != token.data() + token.size()) return std::nullopt;
  if (seq < floor_ || seq > db_->last_journal_seq()) return std::nullopt;
  return seq;
}

void ChangeJournal::trim() {
  if (db_->last_journal_seq() <= trim_at_) return;
  trim_at_ += kTrimEvery;
  const int64_t up_to = db_->last_journal_seq() - kRows;
  if (up_to <= floor_) return;
  if (auto trimmed = db_->trim_journal(up_to); !trimmed) return log::warning("{}", trimmed.error().text());
  floor_ = up_to;
}

void ChangeJournal::invalidate() {
  recorded_.clear();
  if (auto drawn = draw_id(); !drawn) log::warning("{}", drawn.error().text());
}

}  // namespace artifactfs
