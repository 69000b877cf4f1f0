// DisposableDb: a SQLite database that may be thrown away, as this room keeps two of them (index.db, blobs.db).
//
// One connection writes, under a mutex that no read takes; kReadConnections read, opened when first needed, lent to one
// thread at a time. In WAL mode neither waits for the other. Each connection keeps its own prepared statements.
//
// Because it is disposable, a damaged database is no one's problem: it is deleted and begun anew, when it is opened or
// (reset) while it is in use; other processes that have the deleted one open go on using that until they close it.
// condemn() has the next open do so. A database of a newer schema is refused: throwing that away would make two
// versions of the program fight.
//
// Thread-safe. Lock order: write_mutex_ before pool_mutex_.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/db.h"
#include "base/error.h"
#include "base/mutex.h"

namespace artifactfs {

class DisposableDb {
 public:
  static constexpr size_t kReadConnections = 4;

  /// What one kind of database is. The arrays must live for ever.
  struct Schema {
    std::span<const char* const> steps;    // Db::migrate
    std::span<const char* const> queries;  // statements by number
    int64_t reader_cache_bytes = int64_t{2} << 20;
    int64_t writer_cache_bytes = int64_t{8} << 20;
    int wal_autocheckpoint_pages = 1000;
  };

  /// A connection with its prepared statements. One thread at a time.
  class Connection {
   public:
    Connection(std::unique_ptr<Db> db, const Schema& schema, uint64_t generation)
        : db_(std::move(db)), queries_(schema.queries), statements_(schema.queries.size()), generation_(generation) {}
    Db& db() { return *db_; }
    /// Statement number `query`, prepared when first asked for.
    Result<Statement*> statement(size_t query);

   private:
    friend class DisposableDb;
    std::unique_ptr<Db> db_;
    std::span<const char* const> queries_;
    std::vector<std::optional<Statement>> statements_;
    uint64_t generation_;
  };

  /// A statement in use; reset when it goes away (a statement not reset would pin its snapshot of the database).
  class Query {
   public:
    static Result<Query> begin(Connection& connection, size_t query);
    Query(Query&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
    ~Query() {
      if (statement_ != nullptr) statement_->reset();
    }
    Statement* operator->() const { return statement_; }

   private:
    explicit Query(Statement* statement) : statement_(statement) {}
    Statement* statement_;
  };

  /// A read connection, given back when it goes away.
  class Lease {
   public:
    Lease(DisposableDb* owner, std::unique_ptr<Connection> connection)
        : owner_(owner), connection_(std::move(connection)) {}
    Lease(Lease&&) noexcept = default;
    ~Lease() {
      if (connection_ != nullptr) owner_->give_back(std::move(connection_));
    }
    Connection& operator*() const { return *connection_; }

   private:
    DisposableDb* owner_;
    std::unique_ptr<Connection> connection_;
  };

  static Result<std::unique_ptr<DisposableDb>> open(const std::filesystem::path& path, const Schema& schema);

  /// Waits for a connection when all are lent.
  Result<Lease> reader() EXCLUDES(pool_mutex_);

  /// Runs `work` in one transaction on the writing connection; commits if it succeeds, else rolls back.
  using Work = std::function<Result<void>(Connection&)>;
  Result<void> write(const Work& work) EXCLUDES(write_mutex_);

  /// Whether `error`, met in use, is the database's own fault. SQLite has many words for damage ("not a database",
  /// "unsupported file format", "read-only", a constraint that no row of ours violates), so what is left when the disk
  /// and the other processes are innocent counts as such.
  bool is_damage(const Error& error) const;
  /// Deletes the database and begins anew, now. `cause` goes to the log.
  Result<void> reset(const Error& cause) EXCLUDES(write_mutex_, pool_mutex_);
  /// Has the next open() begin anew: for damage that must not take away what is still readable.
  void condemn(const Error& cause);

  const std::filesystem::path& path() const { return path_; }

 private:
  DisposableDb(std::filesystem::path path, const Schema& schema) : path_(std::move(path)), schema_(schema) {}
  Result<void> open_writer() REQUIRES(write_mutex_);
  Result<void> delete_files();
  void give_back(std::unique_ptr<Connection> connection) EXCLUDES(pool_mutex_);

  const std::filesystem::path path_;
  const Schema schema_;
  std::atomic<bool> condemned_ = false;

  Mutex write_mutex_;
  std::unique_ptr<Connection> writer_ GUARDED_BY(write_mutex_);

  Mutex pool_mutex_;
  CondVar given_back_;
  std::vector<std::unique_ptr<Connection>> idle_ GUARDED_BY(pool_mutex_);
  size_t lent_ GUARDED_BY(pool_mutex_) = 0;
  uint64_t generation_ GUARDED_BY(pool_mutex_) = 0;  // counts resets; connections of an older one are closed
};

}  // namespace artifactfs
