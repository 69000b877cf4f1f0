#include "base/db.h"

#include <sqlite3.h>

#include <utility>

namespace artifactfs {

namespace {
ErrorCode code_for_sqlite(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return ErrorCode::no_space;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return ErrorCode::busy;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorCode::corrupt;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return ErrorCode::permission_denied;
    default:
      return ErrorCode::io;
  }
}
}  // namespace

Statement::Statement(Statement&& other) noexcept
    : db_(std::exchange(other.db_, nullptr)), stmt_(std::exchange(other.stmt_, nullptr)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(db_, other.db_);
  std::swap(stmt_, other.stmt_);
  return *this;
}

Statement::~Statement() { sqlite3_finalize(stmt_); }

Statement& Statement::bind(int index, int64_t value) {
  sqlite3_bind_int64(stmt_, index, value);
  return *this;
}

Statement& Statement::bind(int index, std::string_view text) {
  sqlite3_bind_text64(stmt_, index, text.data() == nullptr ? "" : text.data(), text.size(), SQLITE_TRANSIENT,
                      SQLITE_UTF8);
  return *this;
}

Statement& Statement::bind(int index, std::span<const std::byte> blob) {
  if (blob.empty()) {
    sqlite3_bind_zeroblob(stmt_, index, 0);
  } else {
    sqlite3_bind_blob64(stmt_, index, blob.data(), blob.size(), SQLITE_STATIC);
  }
  return *this;
}

Statement& Statement::bind_null(int index) {
  sqlite3_bind_null(stmt_, index);
  return *this;
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(stmt_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  Error error = db_->last_error("cannot run a query on '" + db_->path().string() + "'");
  sqlite3_reset(stmt_);
  return fail(std::move(error));
}

Result<void> Statement::run() {
  auto stepped = step();
  reset();
  if (!stepped) return fail(stepped.error());
  return {};
}

void Statement::reset() { sqlite3_reset(stmt_); }

int64_t Statement::column_int(int column) const { return sqlite3_column_int64(stmt_, column); }

std::string_view Statement::column_text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(stmt_, column));
  return {text == nullptr ? "" : text, static_cast<size_t>(sqlite3_column_bytes(stmt_, column))};
}

std::span<const std::byte> Statement::column_blob(int column) const {
  const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(stmt_, column));
  return {data, static_cast<size_t>(sqlite3_column_bytes(stmt_, column))};
}

ObjectId Statement::column_oid(int column) const {
  const auto blob = column_blob(column);
  return blob.size() == ObjectId::kBytes ? ObjectId::from_raw(blob) : ObjectId{};
}

bool Statement::column_is_null(int column) const { return sqlite3_column_type(stmt_, column) == SQLITE_NULL; }

Db::~Db() { sqlite3_close_v2(handle_); }

Error Db::last_error(std::string sentence) const {
  return Error{code_for_sqlite(sqlite3_extended_errcode(handle_)), std::move(sentence), sqlite3_errmsg(handle_)};
}

Result<std::unique_ptr<Db>> Db::open(const std::filesystem::path& path, const DbOptions& options) {
  sqlite3* handle = nullptr;
  const int flags = (options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  auto db = std::unique_ptr<Db>(new Db(handle, path));
  if (code != SQLITE_OK) {
    return fail(code_for_sqlite(code), "cannot open database '" + path.string() + "'",
                handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(code));
  }
  sqlite3_busy_timeout(handle, options.busy_timeout_ms);
  if (options.page_bytes != 0) TRY(db->execute(("PRAGMA page_size=" + std::to_string(options.page_bytes)).c_str()));
  if (!options.read_only) TRY(db->execute("PRAGMA journal_mode=WAL"));
  const char* synchronous = options.synchronous == Synchronous::off      ? "PRAGMA synchronous=OFF"
                            : options.synchronous == Synchronous::normal ? "PRAGMA synchronous=NORMAL"
                                                                         : "PRAGMA synchronous=FULL";
  TRY(db->execute(synchronous));
  TRY(db->execute(("PRAGMA cache_size=-" + std::to_string(options.cache_bytes / 1024)).c_str()));
  TRY(db->execute(("PRAGMA wal_autocheckpoint=" + std::to_string(options.wal_autocheckpoint_pages)).c_str()));
  TRY(db->execute("PRAGMA foreign_keys=ON"));
  return db;
}

Result<void> Db::execute(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return fail(last_error("cannot use database '" + path_.string() + "'"));
  }
  return {};
}

Result<void> Db::migrate(std::span<const char* const> steps) {
  auto user_version = [this]() -> Result<int64_t> {
    TRY_ASSIGN(Statement query, prepare("PRAGMA user_version"));
    TRY(query.step());
    return query.column_int(0);
  };
  const auto wanted = static_cast<int64_t>(steps.size());
  TRY_ASSIGN(int64_t version, user_version());
  if (version == wanted) return {};
  TRY_ASSIGN(Transaction transaction, Transaction::begin(*this));
  TRY_ASSIGN(version, user_version());  // another process may have migrated meanwhile
  if (version > wanted) {
    return fail(ErrorCode::not_supported, "cannot open database '" + path_.string() + "'",
                "its version " + std::to_string(version) + " is newer than this program knows (" +
                    std::to_string(wanted) + "); use a newer artifactfs");
  }
  for (auto i = static_cast<size_t>(version); i < steps.size(); ++i) TRY(execute(steps[i]));
  TRY(execute(("PRAGMA user_version=" + std::to_string(wanted)).c_str()));
  return transaction.commit();
}

Result<Statement> Db::prepare(std::string_view sql) {
  sqlite3_stmt* stmt = nullptr;
  if (sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &stmt,
                         nullptr) != SQLITE_OK) {
    return fail(last_error("cannot prepare a query on '" + path_.string() + "'"));
  }
  return Statement(this, stmt);
}

int64_t Db::last_insert_rowid() const { return sqlite3_last_insert_rowid(handle_); }
int64_t Db::changes() const { return sqlite3_changes64(handle_); }

Result<Transaction> Transaction::begin(Db& db) {
  TRY(db.execute("BEGIN IMMEDIATE"));
  return Transaction(&db);
}

Transaction::~Transaction() {
  if (db_ != nullptr) (void)db_->execute("ROLLBACK");
}

Result<void> Transaction::commit() {
  TRY(db_->execute("COMMIT"));
  db_ = nullptr;
  return {};
}

}  // namespace artifactfs
