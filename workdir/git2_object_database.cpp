#include "workdir/git2_object_database.h"

#include <git2.h>
#include <git2/sys/odb_backend.h>

#include <cstring>
#include <mutex>

namespace artifactfs {

namespace {

Error git2_error(std::string sentence) {
  const git_error* error = git_error_last();
  return Error{ErrorCode::io, std::move(sentence), error != nullptr ? error->message : "unknown libgit2 error"};
}

git_oid to_git2(const ObjectId& oid) {
  git_oid out;
  static_assert(sizeof out.id == ObjectId::kBytes);
  std::memcpy(out.id, oid.bytes.data(), ObjectId::kBytes);
  return out;
}

void initialize() {
  static std::once_flag initialized;
  std::call_once(initialized, [] { git_libgit2_init(); });
}

}  // namespace

Result<std::unique_ptr<Git2ObjectDatabase>> Git2ObjectDatabase::open(const std::filesystem::path& objects) {
  initialize();
  git_odb* odb = nullptr;
  if (git_odb_open(&odb, objects.c_str()) != 0) {
    return fail(git2_error("cannot open the object directory '" + objects.string() + "'"));
  }
  return std::unique_ptr<Git2ObjectDatabase>(new Git2ObjectDatabase(odb));
}

Result<std::unique_ptr<Git2ObjectDatabase>> Git2ObjectDatabase::open_exactly(
    std::span<const std::filesystem::path> directories) {
  initialize();
  git_odb* odb = nullptr;
  if (git_odb_new(&odb) != 0) return fail(git2_error("cannot make an object database"));
  auto database = std::unique_ptr<Git2ObjectDatabase>(new Git2ObjectDatabase(odb));
  for (const auto& directory : directories) {
    // Unlike git_odb_open, this does not read objects/info/alternates.
    if (git_odb_add_disk_alternate(odb, directory.c_str()) != 0) {
      return fail(git2_error("cannot open the object directory '" + directory.string() + "'"));
    }
  }
  return database;
}

Git2ObjectDatabase::~Git2ObjectDatabase() { git_odb_free(odb_); }

bool Git2ObjectDatabase::exists(const ObjectId& oid) {
  const git_oid id = to_git2(oid);
  return git_odb_exists(odb_, &id) == 1;
}

Result<GitObject> Git2ObjectDatabase::read(const ObjectId& oid) {
  const git_oid id = to_git2(oid);
  git_odb_object* object = nullptr;
  const int code = git_odb_read(&object, odb_, &id);
  if (code == GIT_ENOTFOUND)
    return fail(ErrorCode::not_found, "cannot read object '" + oid.hex() + "'", "no such object");
  if (code != 0) return fail(git2_error("cannot read object '" + oid.hex() + "'"));
  GitObject out;
  out.type = static_cast<ObjectType>(git_odb_object_type(object));
  const auto* data = static_cast<const std::byte*>(git_odb_object_data(object));
  out.content.assign(data, data + git_odb_object_size(object));
  git_odb_object_free(object);
  return out;
}

std::optional<uint64_t> Git2ObjectDatabase::size(const ObjectId& oid) {
  const git_oid id = to_git2(oid);
  size_t length = 0;
  git_object_t type{};
  if (git_odb_read_header(&length, &type, odb_, &id) != 0) return std::nullopt;
  return length;
}

void Git2ObjectDatabase::refresh() { git_odb_refresh(odb_); }

}  // namespace artifactfs
