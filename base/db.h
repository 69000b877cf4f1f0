// Db, Statement, Transaction: SQLite as this project uses it (the only place that includes <sqlite3.h>).
//
// A Db is one connection and belongs to one thread at a time: own it per thread, or behind a Mutex. In WAL mode readers
// on connections of their own never wait for the writer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "base/object_id.h"

struct sqlite3;
struct sqlite3_stmt;

namespace artifactfs {

class Db;

/// A prepared statement. Bind (1-based), step, read columns (0-based), reset. Must not outlive its Db.
class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  Statement& bind(int index, int64_t value);
  Statement& bind(int index, std::string_view text);
  /// The bytes must stay valid until the statement is reset.
  Statement& bind(int index, std::span<const std::byte> blob);
  Statement& bind(int index, const ObjectId& oid) { return bind(index, std::span<const std::byte>(oid.bytes)); }
  Statement& bind_null(int index);

  /// True while there is a row.
  Result<bool> step();
  /// Steps a statement that returns no rows, and resets it.
  Result<void> run();
  void reset();

  int64_t column_int(int column) const;
  /// Valid until the next step or reset.
  std::string_view column_text(int column) const;
  std::span<const std::byte> column_blob(int column) const;
  /// The column as an oid; null id when the blob is not 20 bytes.
  ObjectId column_oid(int column) const;
  bool column_is_null(int column) const;

 private:
  friend class Db;
  Statement(Db* db, sqlite3_stmt* stmt) : db_(db), stmt_(stmt) {}
  Db* db_ = nullptr;
  sqlite3_stmt* stmt_ = nullptr;
};

enum class Synchronous { off, normal, full };

struct DbOptions {
  bool read_only = false;
  Synchronous synchronous = Synchronous::normal;
  int busy_timeout_ms = 10'000;
  int64_t cache_bytes = int64_t{2} << 20;
  /// WAL auto-checkpoint in pages; 0 turns it off (the owner then checkpoints on a thread of its own).
  int wal_autocheckpoint_pages = 1000;
  /// Of a database that is made now; an existing one keeps its own. 0: SQLite's default.
  int page_bytes = 0;
};

class Db {
 public:
  Db(const Db&) = delete;
  Db& operator=(const Db&) = delete;
  ~Db();

  /// Opens (creating unless read_only) in WAL mode with foreign keys on. Errors name the path.
  static Result<std::unique_ptr<Db>> open(const std::filesystem::path& path, const DbOptions& options = {});

  /// Brings PRAGMA user_version up to `steps.size()` by running steps[user_version..] in one transaction. A database
  /// newer than the program is refused (ErrorCode::not_supported) with a sentence that says so.
  Result<void> migrate(std::span<const char* const> steps);

  Result<void> execute(const char* sql);
  /// Prepares a statement for long-term use (SQLITE_PREPARE_PERSISTENT).
  Result<Statement> prepare(std::string_view sql);

  int64_t last_insert_rowid() const;
  int64_t changes() const;
  const std::filesystem::path& path() const { return path_; }
  sqlite3* handle() const { return handle_; }
  Error last_error(std::string sentence) const;

 private:
  Db(sqlite3* handle, std::filesystem::path path) : handle_(handle), path_(std::move(path)) {}
  sqlite3* handle_ = nullptr;
  std::filesystem::path path_;
};

/// BEGIN IMMEDIATE ... COMMIT; rolls back when destroyed uncommitted.
class Transaction {
 public:
  static Result<Transaction> begin(Db& db);
  Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  ~Transaction();
  Result<void> commit();

 private:
  explicit Transaction(Db* db) : db_(db) {}
  Db* db_;
};

}  // namespace artifactfs
