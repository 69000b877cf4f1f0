#include "cache/tree_index.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/log.h"
#include "cache/disposable_db.h"
#include "cache/lru_cache.h"
#include "cache/tree_import.h"
#include "cache/tree_row.h"

namespace artifactfs {

namespace {

// tree has rowids because its rows are long: they lie in the order they came, and only the index of ids is shuffled.
// `checksum` is the CRC-32 of `row` (SQLite has none of its own). `height`: levels of directories below.
constexpr std::array kSchema = {
    "CREATE TABLE tree(id INTEGER PRIMARY KEY, oid BLOB NOT NULL UNIQUE, height INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL, row BLOB NOT NULL);"
    "CREATE TABLE \"commit\"(oid BLOB PRIMARY KEY, tree BLOB NOT NULL, committer_time INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE ref(position INTEGER PRIMARY KEY, name TEXT NOT NULL, oid BLOB NOT NULL, peeled BLOB,"
    " symbolic_target TEXT);"
    "CREATE TABLE blob_size(oid BLOB PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE value(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"};

enum QueryNumber : size_t {
  kGetTree,
  kFindTree,
  kAnyTree,
  kPutTree,
  kGetCommit,
  kPutCommit,
  kGetRefs,
  kDeleteRefs,
  kPutRef,
  kGetSize,
  kPutSize,
  kGetValue,
  kPutValue,
  kQueryCount
};

constexpr std::array<const char*, kQueryCount> kQueries = {
    "SELECT checksum, row FROM tree WHERE oid=?",
    "SELECT height, substr(row, 1, 24) FROM tree WHERE oid=?",
    "SELECT 1 FROM tree LIMIT 1",
    "INSERT INTO tree(oid, height, checksum, row) VALUES(?, ?, ?, ?)",
    "SELECT tree, committer_time FROM \"commit\" WHERE oid=?",
    "INSERT OR REPLACE INTO \"commit\"(oid, tree, committer_time) VALUES(?, ?, ?)",
    "SELECT name, oid, peeled, symbolic_target FROM ref ORDER BY position",
    "DELETE FROM ref",
    "INSERT INTO ref(name, oid, peeled, symbolic_target) VALUES(?, ?, ?, ?)",
    "SELECT size FROM blob_size WHERE oid=?",
    "INSERT INTO blob_size(oid, size) VALUES(?, ?)"
    " ON CONFLICT DO UPDATE SET size=excluded.size WHERE size<>excluded.size",
    "SELECT value FROM value WHERE key=?",
    "INSERT OR REPLACE INTO value(key, value) VALUES(?, ?)",
};

uint32_t checksum_of(std::span<const std::byte> row) {
  return static_cast<uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(row.data()), row.size()));
}

class SqliteTreeIndex final : public TreeIndex {
 public:
  explicit SqliteTreeIndex(std::unique_ptr<DisposableDb> db) : db_(std::move(db)), trees_(kTreeCacheBytes) {}

  Result<std::shared_ptr<const Tree>> tree(const ObjectId& oid) override {
    if (auto cached = trees_.get(oid)) return cached;
    auto loaded = load_tree(oid);
    if (loaded) {
      trees_.put(oid, *loaded, (*loaded)->memory_bytes());
    } else if (loaded.error().code == ErrorCode::corrupt) {
      db_->condemn(loaded.error());
    }
    return loaded;
  }

  bool has_tree(const ObjectId& oid) override {
    if (trees_.get(oid) != nullptr) return true;
    const auto found = read<bool>(kFindTree, [&](Statement& query) -> Result<bool> {
      query.bind(1, oid);
      return query.step();
    });
    return found && *found;
  }

  Result<void> import_trees(const ObjectId& root, const RawTrees& raw) override {
    if (has_tree(root)) return {};
    return db_->write([&](DisposableDb::Connection& connection) -> Result<void> {
      TRY_ASSIGN(const DisposableDb::Query any, DisposableDb::Query::begin(connection, kAnyTree));
      TRY_ASSIGN(const bool holds_trees, any->step());
      TreeStorage storage;
      storage.find = [&](const ObjectId& oid) -> Result<std::optional<StoredTree>> {
        if (!holds_trees) return std::nullopt;
        return find_stored(connection, oid);
      };
      storage.store = [&](const ObjectId& oid, const StoredTree& tree, std::span<const std::byte> row) -> Result<void> {
        TRY_ASSIGN(Statement * put, connection.statement(kPutTree));
        put->bind(1, oid).bind(2, int64_t{tree.height}).bind(3, int64_t{checksum_of(row)}).bind(4, row);
        return put->run();
      };
      return import_tree_closure(root, raw, storage);
    });
  }

  Result<void> put_commit(const CommitRow& commit) override {
    return db_->write([&](DisposableDb::Connection& connection) -> Result<void> {
      TRY_ASSIGN(Statement * put, connection.statement(kPutCommit));
      put->bind(1, commit.oid).bind(2, commit.tree).bind(3, commit.committer_time);
      return put->run();
    });
  }

  Result<std::optional<CommitRow>> commit(const ObjectId& oid) override {
    return read<std::optional<CommitRow>>(kGetCommit, [&](Statement& query) -> Result<std::optional<CommitRow>> {
      query.bind(1, oid);
      TRY_ASSIGN(const bool found, query.step());
      if (!found) return std::nullopt;
      return CommitRow{oid, query.column_oid(0), query.column_int(1)};
    });
  }

  Result<void> put_refs(std::span<const RefRow> refs) override {
    return db_->write([&](DisposableDb::Connection& connection) -> Result<void> {
      TRY_ASSIGN(Statement * clear, connection.statement(kDeleteRefs));
      TRY(clear->run());
      TRY_ASSIGN(Statement * put, connection.statement(kPutRef));
      for (const RefRow& ref : refs) {
        put->bind(1, std::string_view(ref.name)).bind(2, ref.oid).bind_null(3).bind_null(4);
        if (ref.peeled) put->bind(3, *ref.peeled);
        if (ref.symbolic_target) put->bind(4, std::string_view(*ref.symbolic_target));
        TRY(put->run());
      }
      return {};
    });
  }

  Result<std::vector<RefRow>> refs() override {
    return read<std::vector<RefRow>>(kGetRefs, [](Statement& query) -> Result<std::vector<RefRow>> {
      std::vector<RefRow> refs;
      for (;;) {
        TRY_ASSIGN(const bool found, query.step());
        if (!found) return refs;
        RefRow ref;
        ref.name = query.column_text(0);
        ref.oid = query.column_oid(1);
        if (!query.column_is_null(2)) ref.peeled = query.column_oid(2);
        if (!query.column_is_null(3)) ref.symbolic_target = std::string(query.column_text(3));
        refs.push_back(std::move(ref));
      }
    });
  }

  Result<void> put_sizes(std::span<const std::pair<ObjectId, uint64_t>> sizes) override {
    if (sizes.empty()) return {};
    // In the table's own order each page is touched once.
    std::vector<const std::pair<ObjectId, uint64_t>*> sorted(sizes.size());
    std::transform(sizes.begin(), sizes.end(), sorted.begin(), [](const auto& pair) { return &pair; });
    std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
      const int order = std::memcmp(a->first.bytes.data(), b->first.bytes.data(), ObjectId::kBytes);
      return order != 0 ? order < 0 : a < b;  // of two sizes for one blob the later wins
    });
    return db_->write([&](DisposableDb::Connection& connection) -> Result<void> {
      TRY_ASSIGN(Statement * put, connection.statement(kPutSize));
      for (const auto* pair : sorted) {
        put->bind(1, pair->first).bind(2, static_cast<int64_t>(pair->second));
        TRY(put->run());
      }
      return {};
    });
  }

  std::optional<uint64_t> size(const ObjectId& oid) override { return sizes({&oid, 1}).front(); }

  std::vector<std::optional<uint64_t>> sizes(std::span<const ObjectId> oids) override {
    std::vector<std::optional<uint64_t>> sizes(oids.size());
    const auto read_all = read<bool>(kGetSize, [&](Statement& query) -> Result<bool> {
      for (size_t i = 0; i < oids.size(); ++i) {
        query.bind(1, oids[i]);
        TRY_ASSIGN(const bool found, query.step());
        if (found) sizes[i] = static_cast<uint64_t>(query.column_int(0));
        query.reset();
      }
      return true;
    });
    if (!read_all) log::warning("{}", read_all.error().text());
    return sizes;
  }

  Result<void> put_value(const std::string& key, const std::string& value) override {
    return db_->write([&](DisposableDb::Connection& connection) -> Result<void> {
      TRY_ASSIGN(Statement * put, connection.statement(kPutValue));
      put->bind(1, std::string_view(key)).bind(2, std::string_view(value));
      return put->run();
    });
  }

  Result<std::optional<std::string>> value(const std::string& key) override {
    return read<std::optional<std::string>>(kGetValue, [&](Statement& query) -> Result<std::optional<std::string>> {
      query.bind(1, std::string_view(key));
      TRY_ASSIGN(const bool found, query.step());
      if (!found) return std::nullopt;
      return std::string(query.column_text(0));
    });
  }

 private:
  // Runs `use` with a statement of a read connection.
  template <typename T, typename Use>
  Result<T> read(QueryNumber number, Use use) {
    auto answer = [&]() -> Result<T> {
      TRY_ASSIGN(const DisposableDb::Lease lease, db_->reader());
      TRY_ASSIGN(const DisposableDb::Query query, DisposableDb::Query::begin(*lease, number));
      return use(*query.operator->());
    }();
    if (!answer && answer.error().code == ErrorCode::corrupt) db_->condemn(answer.error());
    return answer;
  }

  Result<std::shared_ptr<const Tree>> load_tree(const ObjectId& oid) {
    std::vector<std::byte> row;
    TRY(read<bool>(kGetTree, [&](Statement& query) -> Result<bool> {
      query.bind(1, oid);
      TRY_ASSIGN(const bool found, query.step());
      if (!found) return fail(ErrorCode::not_found, "cannot find tree '" + oid.hex() + "'");
      const auto stored = query.column_blob(1);
      if (query.column_int(0) != int64_t{checksum_of(stored)}) {
        return fail(ErrorCode::corrupt, "cannot read tree '" + oid.hex() + "'", "its checksum does not fit");
      }
      row.assign(stored.begin(), stored.end());
      return true;
    }));
    auto tree = Tree::from_row(std::move(row));
    if (!tree) return fail(tree.error().within("cannot read tree '" + oid.hex() + "'"));
    return tree;
  }

  static Result<std::optional<StoredTree>> find_stored(DisposableDb::Connection& connection, const ObjectId& oid) {
    TRY_ASSIGN(const DisposableDb::Query query, DisposableDb::Query::begin(connection, kFindTree));
    query->bind(1, oid);
    TRY_ASSIGN(const bool found, query->step());
    if (!found) return std::nullopt;
    return StoredTree{descendants_of_row(query->column_blob(1)), static_cast<uint32_t>(query->column_int(0))};
  }

  const std::unique_ptr<DisposableDb> db_;
  LruCache<ObjectId, Tree> trees_;
};

}  // namespace

Result<std::unique_ptr<TreeIndex>> TreeIndex::open(const std::filesystem::path& path) {
  DisposableDb::Schema schema{.steps = kSchema, .queries = kQueries};
  schema.writer_cache_bytes = int64_t{16} << 20;
  TRY_ASSIGN(auto db, DisposableDb::open(path, schema));
  return std::make_unique<SqliteTreeIndex>(std::move(db));
}

}  // namespace artifactfs
