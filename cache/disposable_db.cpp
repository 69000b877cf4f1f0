#include "cache/disposable_db.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"
#include "base/unique_fd.h"

namespace artifactfs {

namespace {

std::filesystem::path with_suffix(std::filesystem::path path, const char* suffix) { return path += suffix; }

std::filesystem::path condemned_marker(const std::filesystem::path& path) { return with_suffix(path, ".condemned"); }

// Held while a database is opened or deleted, so that no process opens what another is just deleting.
Result<UniqueFd> lock_for_opening(const std::filesystem::path& path) {
  const auto lock_path = with_suffix(path, ".lock");
  TRY_ASSIGN(UniqueFd lock, open_file(lock_path, O_RDWR | O_CREAT));
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return fail_errno(errno, "cannot lock '" + lock_path.string() + "'");
  }
  return lock;
}

}  // namespace

Result<Statement*> DisposableDb::Connection::statement(size_t query) {
  auto& slot = statements_[query];
  if (!slot) {
    TRY_ASSIGN(Statement prepared, db_->prepare(queries_[query]));
    slot = std::move(prepared);
  }
  return &*slot;
}

Result<DisposableDb::Query> DisposableDb::Query::begin(Connection& connection, size_t query) {
  TRY_ASSIGN(Statement * statement, connection.statement(query));
  return Query(statement);
}

Result<std::unique_ptr<DisposableDb>> DisposableDb::open(const std::filesystem::path& path, const Schema& schema) {
  auto self = std::unique_ptr<DisposableDb>(new DisposableDb(path, schema));
  TRY_ASSIGN(const UniqueFd opening, lock_for_opening(path));
  const MutexLock lock(self->write_mutex_);
  if (::access(condemned_marker(path).c_str(), F_OK) == 0) {
    log::warning("'{}' was found damaged: deleting it and beginning anew", path.string());
    TRY(self->delete_files());
  }
  auto opened = self->open_writer();
  if (!opened && self->is_damage(opened.error())) {
    log::warning("{}: deleting it and beginning anew", opened.error().text());
    TRY(self->delete_files());
    opened = self->open_writer();
  }
  if (!opened) return fail(opened.error());
  return self;
}

Result<void> DisposableDb::open_writer() {
  DbOptions options;
  options.cache_bytes = schema_.writer_cache_bytes;
  options.wal_autocheckpoint_pages = schema_.wal_autocheckpoint_pages;
  TRY_ASSIGN(auto db, Db::open(path_, options));
  TRY(db->migrate(schema_.steps));
  auto connection = std::make_unique<Connection>(std::move(db), schema_, 0);
  // A schema that does not take our queries is damage, too.
  for (size_t i = 0; i < schema_.queries.size(); ++i) TRY(connection->statement(i));
  writer_ = std::move(connection);
  return {};
}

Result<void> DisposableDb::delete_files() {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    const auto file = with_suffix(path_, suffix);
    if (::unlink(file.c_str()) != 0 && errno != ENOENT)
      return fail_errno(errno, "cannot delete '" + file.string() + "'");
  }
  ::unlink(condemned_marker(path_).c_str());
  return {};
}

Result<DisposableDb::Lease> DisposableDb::reader() {
  uint64_t generation = 0;
  std::unique_ptr<Connection> connection;
  {
    MutexLock lock(pool_mutex_);
    while (lent_ == kReadConnections) given_back_.wait(lock);
    ++lent_;
    generation = generation_;
    if (!idle_.empty()) {
      connection = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (connection != nullptr) return Lease(this, std::move(connection));
  DbOptions options;
  options.read_only = true;
  options.cache_bytes = schema_.reader_cache_bytes;
  auto db = Db::open(path_, options);
  if (!db) {
    give_back(nullptr);
    return fail(db.error());
  }
  return Lease(this, std::make_unique<Connection>(std::move(*db), schema_, generation));
}

void DisposableDb::give_back(std::unique_ptr<Connection> connection) {
  {
    const MutexLock lock(pool_mutex_);
    --lent_;
    if (connection != nullptr && connection->generation_ == generation_) idle_.push_back(std::move(connection));
  }
  given_back_.notify_one();
}

Result<void> DisposableDb::write(const Work& work) {
  const MutexLock lock(write_mutex_);
  if (writer_ == nullptr) TRY(open_writer());
  TRY_ASSIGN(Transaction transaction, Transaction::begin(writer_->db()));
  TRY(work(*writer_));
  return transaction.commit();
}

Result<void> DisposableDb::reset(const Error& cause) {
  const MutexLock lock(write_mutex_);
  log::warning("{}: deleting '{}' and beginning anew", cause.text(), path_.string());
  writer_.reset();
  {
    TRY_ASSIGN(const UniqueFd opening, lock_for_opening(path_));
    TRY(delete_files());
    TRY(open_writer());
  }
  // Only now: a read connection opened a moment ago may still have the deleted file.
  std::vector<std::unique_ptr<Connection>> closed;
  const MutexLock pool_lock(pool_mutex_);
  ++generation_;
  closed.swap(idle_);
  return {};
}

bool DisposableDb::is_damage(const Error& error) const {
  if (error.code == ErrorCode::not_supported || error.code == ErrorCode::no_space || error.code == ErrorCode::busy) {
    return false;
  }
  return open_file(path_, O_RDWR).has_value();
}

void DisposableDb::condemn(const Error& cause) {
  if (condemned_.exchange(true)) return;
  log::warning("{}: '{}' will be begun anew when it is next opened", cause.text(), path_.string());
  if (auto marked = open_file(condemned_marker(path_), O_WRONLY | O_CREAT); !marked) {
    log::warning("{}", marked.error().text());
  }
}

}  // namespace artifactfs
