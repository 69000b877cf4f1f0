#include "workdir/overlay_db.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace artifactfs {

namespace {

constexpr std::array<const char*, 1> kSchema = {
    "CREATE TABLE inode(inode INTEGER PRIMARY KEY, mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL,"
    " links INTEGER NOT NULL, at_base INTEGER NOT NULL, data INTEGER NOT NULL, device INTEGER NOT NULL, base_oid BLOB,"
    " atime_s INTEGER NOT NULL, atime_ns INTEGER NOT NULL, mtime_s INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,"
    " ctime_s INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, target BLOB);"
    "CREATE TABLE dentry(row INTEGER PRIMARY KEY, parent INTEGER NOT NULL, name BLOB NOT NULL, inode INTEGER NOT NULL);"
    "CREATE TABLE xattr(inode INTEGER NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY(inode, name))"
    " WITHOUT ROWID;"
    "CREATE TABLE journal(seq INTEGER PRIMARY KEY, inode INTEGER NOT NULL, name BLOB, directory INTEGER NOT NULL);"
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"};

constexpr int kPageBytes = 1024;

std::span<const std::byte> blob_of(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string text_of(std::span<const std::byte> blob) {
  return {reinterpret_cast<const char*>(blob.data()), blob.size()};
}
int64_t number(uint64_t value) { return static_cast<int64_t>(value); }

void bind_time(Statement& statement, int index, const Timestamp& time) {
  statement.bind(index, time.seconds).bind(index + 1, int64_t{time.nanoseconds});
}
Timestamp time_at(const Statement& row, int column) {
  return {row.column_int(column), static_cast<uint32_t>(row.column_int(column + 1))};
}

InodeRow inode_at(const Statement& row) {
  InodeRow out;
  out.mode = static_cast<uint32_t>(row.column_int(1));
  out.uid = static_cast<uid_t>(row.column_int(2));
  out.gid = static_cast<gid_t>(row.column_int(3));
  out.links = static_cast<uint32_t>(row.column_int(4));
  out.at_base_position = row.column_int(5) != 0;
  out.data = static_cast<DataSource>(row.column_int(6));
  out.device = static_cast<uint64_t>(row.column_int(7));
  out.base_oid = row.column_oid(8);
  out.atime = time_at(row, 9);
  out.mtime = time_at(row, 11);
  out.ctime = time_at(row, 13);
  out.target = text_of(row.column_blob(15));
  return out;
}

}  // namespace

Result<std::unique_ptr<OverlayDb>> OverlayDb::open(const std::filesystem::path& path) {
  DbOptions options;
  options.synchronous = Synchronous::normal;
  options.wal_autocheckpoint_pages = 0;
  options.page_bytes = kPageBytes;
  TRY_ASSIGN(auto db, Db::open(path, options));
  TRY(db->migrate(kSchema));
  auto overlay = std::unique_ptr<OverlayDb>(new OverlayDb(std::move(db)));
  TRY(overlay->prepare());
  TRY_ASSIGN(overlay->checkpoint_db_, Db::open(path, options));
  // A descriptor of our own is harmless here: SQLite's POSIX locks are on the database and its -shm, not on the log.
  std::filesystem::path log = path;
  log += "-wal";
  TRY_ASSIGN(overlay->log_, open_file(log, O_RDWR | O_CREAT, 0644));
  TRY_ASSIGN(const auto bounds, overlay->journal_bounds());
  overlay->next_seq_ = bounds.second + 1;
  if (auto directory = open_file(path.parent_path(), O_RDONLY | O_DIRECTORY)) ::fsync(directory->get());
  return overlay;
}

Result<void> OverlayDb::prepare() {
  auto& s = statements_;
  TRY_ASSIGN(
      s.put_inode,
      db_->prepare("INSERT OR REPLACE INTO inode VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)"));
  TRY_ASSIGN(s.delete_inode, db_->prepare("DELETE FROM inode WHERE inode=?1"));
  TRY_ASSIGN(s.delete_xattrs, db_->prepare("DELETE FROM xattr WHERE inode=?1"));
  TRY_ASSIGN(s.put_dentry, db_->prepare("INSERT OR REPLACE INTO dentry VALUES(?1,?2,?3,?4)"));
  TRY_ASSIGN(s.delete_dentry, db_->prepare("DELETE FROM dentry WHERE row=?1"));
  TRY_ASSIGN(s.put_xattr, db_->prepare("INSERT OR REPLACE INTO xattr VALUES(?1,?2,?3)"));
  TRY_ASSIGN(s.delete_xattr, db_->prepare("DELETE FROM xattr WHERE inode=?1 AND name=?2"));
  TRY_ASSIGN(s.journal, db_->prepare("INSERT INTO journal VALUES(?1,?2,?3,?4)"));
  TRY_ASSIGN(s.begin, db_->prepare("BEGIN IMMEDIATE"));
  TRY_ASSIGN(s.commit, db_->prepare("COMMIT"));
  TRY_ASSIGN(s.rollback, db_->prepare("ROLLBACK"));
  return {};
}

Result<void> OverlayDb::load(const Loader& loader) {
  TRY_ASSIGN(auto inodes, db_->prepare("SELECT * FROM inode"));
  while (true) {
    TRY_ASSIGN(const bool more, inodes.step());
    if (!more) break;
    loader.inode(static_cast<InodeNumber>(inodes.column_int(0)), inode_at(inodes));
  }
  TRY_ASSIGN(auto dentries, db_->prepare("SELECT row, parent, name, inode FROM dentry ORDER BY row"));
  while (true) {
    TRY_ASSIGN(const bool more, dentries.step());
    if (!more) break;
    loader.dentry({static_cast<uint64_t>(dentries.column_int(0)), static_cast<InodeNumber>(dentries.column_int(1)),
                   text_of(dentries.column_blob(2)), static_cast<InodeNumber>(dentries.column_int(3))});
  }
  TRY_ASSIGN(auto xattrs, db_->prepare("SELECT inode, name, value FROM xattr"));
  while (true) {
    TRY_ASSIGN(const bool more, xattrs.step());
    if (!more) break;
    loader.xattr({static_cast<InodeNumber>(xattrs.column_int(0)), text_of(xattrs.column_blob(1)),
                  text_of(xattrs.column_blob(2))});
  }
  return {};
}

Result<void> OverlayDb::commit(const OverlayEdit& edit) {
  const int64_t seq = next_seq_;
  TRY(statements_.begin.run());
  auto written = write(edit);
  if (written) written = statements_.commit.run();
  if (!written) {
    (void)statements_.rollback.run();  // fails harmlessly when SQLite has rolled back by itself
    next_seq_ = seq;
    return written;
  }
  ++commits_;
  return {};
}

Result<void> OverlayDb::write(const OverlayEdit& edit) {
  for (const auto& [inode, row] : edit.put_inodes) {
    Statement& put = statements_.put_inode;
    put.bind(1, number(inode)).bind(2, int64_t{row.mode}).bind(3, int64_t{row.uid}).bind(4, int64_t{row.gid});
    put.bind(5, int64_t{row.links}).bind(6, int64_t{row.at_base_position}).bind(7, static_cast<int64_t>(row.data));
    put.bind(8, number(row.device));
    if (row.base_oid.is_null()) {
      put.bind_null(9);
    } else {
      put.bind(9, row.base_oid);
    }
    bind_time(put, 10, row.atime);
    bind_time(put, 12, row.mtime);
    bind_time(put, 14, row.ctime);
    if (row.target.empty()) {
      put.bind_null(16);
    } else {
      put.bind(16, blob_of(row.target));
    }
    TRY(put.run());
  }
  for (const InodeNumber inode : edit.delete_inodes) {
    TRY(statements_.delete_inode.bind(1, number(inode)).run());
    TRY(statements_.delete_xattrs.bind(1, number(inode)).run());
  }
  for (const DentryRow& row : edit.delete_dentries) TRY(statements_.delete_dentry.bind(1, number(row.row)).run());
  for (const DentryRow& row : edit.put_dentries) {
    Statement& put = statements_.put_dentry;
    put.bind(1, number(row.row)).bind(2, number(row.parent)).bind(3, blob_of(row.name)).bind(4, number(row.inode));
    TRY(put.run());
  }
  for (const XattrRow& row : edit.xattrs) {
    Statement& statement = row.value ? statements_.put_xattr : statements_.delete_xattr;
    statement.bind(1, number(row.inode)).bind(2, blob_of(row.name));
    if (row.value) statement.bind(3, blob_of(*row.value));
    TRY(statement.run());
  }
  for (const JournalRow& row : edit.journal) {
    Statement& put = statements_.journal;
    put.bind(1, next_seq_++).bind(2, number(row.inode)).bind(4, int64_t{row.directory});
    if (row.name) {
      put.bind(3, blob_of(*row.name));
    } else {
      put.bind_null(3);
    }
    TRY(put.run());
  }
  return {};
}

Result<std::optional<std::string>> OverlayDb::value(std::string_view key) {
  TRY_ASSIGN(auto query, db_->prepare("SELECT value FROM meta WHERE key=?1"));
  query.bind(1, key);
  TRY_ASSIGN(const bool found, query.step());
  if (!found) return std::nullopt;
  return std::string(query.column_text(0));
}

Result<void> OverlayDb::put_value(std::string_view key, std::string_view value) {
  TRY_ASSIGN(auto put, db_->prepare("INSERT OR REPLACE INTO meta VALUES(?1,?2)"));
  TRY(put.bind(1, key).bind(2, value).run());
  ++commits_;
  return {};
}

Result<std::pair<std::vector<JournalRow>, int64_t>> OverlayDb::journal_between(int64_t after, int64_t up_to,
                                                                               size_t limit) {
  TRY_ASSIGN(auto query, db_->prepare("SELECT inode, name, directory, seq FROM journal WHERE seq>?1 AND seq<=?2"
                                      " ORDER BY seq LIMIT ?3"));
  query.bind(1, after).bind(2, up_to).bind(3, static_cast<int64_t>(limit));
  std::pair<std::vector<JournalRow>, int64_t> out{{}, up_to};
  while (true) {
    TRY_ASSIGN(const bool more, query.step());
    if (!more) return out;
    JournalRow row;
    row.inode = static_cast<InodeNumber>(query.column_int(0));
    if (!query.column_is_null(1)) row.name = text_of(query.column_blob(1));
    row.directory = query.column_int(2) != 0;
    out.first.push_back(std::move(row));
    out.second = query.column_int(3);
  }
}

Result<std::pair<int64_t, int64_t>> OverlayDb::journal_bounds() {
  TRY_ASSIGN(auto query, db_->prepare("SELECT (SELECT min(seq) FROM journal), (SELECT max(seq) FROM journal)"));
  TRY(query.step());
  return std::pair{query.column_int(0), query.column_int(1)};
}

Result<void> OverlayDb::trim_journal(int64_t up_to) {
  TRY_ASSIGN(auto trim, db_->prepare("DELETE FROM journal WHERE seq<=?1"));
  TRY(trim.bind(1, up_to).run());
  ++commits_;
  return {};
}

Result<void> OverlayDb::sync(uint64_t commit) {
  // One fdatasync at a time; who waited for it finds that it covered his commits too.
  MutexLock lock(sync_mutex_);
  if (synced_ >= commit) return {};
  const uint64_t covered = commits_;
  if (::fdatasync(log_.get()) != 0) return fail_errno(errno, "cannot sync '" + path().string() + "-wal'");
  synced_ = covered;
  return {};
}

Result<void> OverlayDb::checkpoint() { return checkpoint_db_->execute("PRAGMA wal_checkpoint(PASSIVE)"); }

}  // namespace artifactfs
