// Git2ObjectDatabase: reading a git object directory (packs and loose objects) through libgit2.
// Thread-safe (libgit2's object database is).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"

struct git_odb;

namespace artifactfs {

struct GitObject {
  ObjectType type = ObjectType::blob;
  std::vector<std::byte> content;
};

class Git2ObjectDatabase {
 public:
  /// `objects`: an "objects" directory. Packs that appear later are found.
  static Result<std::unique_ptr<Git2ObjectDatabase>> open(const std::filesystem::path& objects);
  /// These directories and no alternates that they name.
  static Result<std::unique_ptr<Git2ObjectDatabase>> open_exactly(std::span<const std::filesystem::path> directories);
  ~Git2ObjectDatabase();
  Git2ObjectDatabase(const Git2ObjectDatabase&) = delete;
  Git2ObjectDatabase& operator=(const Git2ObjectDatabase&) = delete;

  bool exists(const ObjectId& oid);
  /// ErrorCode::not_found when absent.
  Result<GitObject> read(const ObjectId& oid);
  /// Size in bytes from the object's header; nullopt when absent.
  std::optional<uint64_t> size(const ObjectId& oid);
  /// Looks for packs that have appeared.
  void refresh();

 private:
  explicit Git2ObjectDatabase(git_odb* odb) : odb_(odb) {}
  git_odb* odb_;
};

}  // namespace artifactfs
