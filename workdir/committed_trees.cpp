#include "workdir/committed_trees.h"

#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "workdir/gitdir_command.h"

namespace artifactfs {

namespace {

EntryKind kind_of(uint32_t mode) {
  switch (mode & 0170000) {
    case 0040000:
      return EntryKind::directory;
    case 0120000:
      return EntryKind::symlink;
    case 0160000:
      return EntryKind::submodule;
    default:
      return (mode & 0100) != 0 ? EntryKind::executable : EntryKind::file;
  }
}

std::string without_last_newline(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

Result<GitObject> CommittedTrees::read(const ObjectId& oid, ObjectType type) {
  if (objects_ == nullptr) {
    const std::array<std::filesystem::path, 2> directories{git_directory_ / "objects", store_objects_};
    TRY_ASSIGN(objects_, Git2ObjectDatabase::open_exactly(directories));
  }
  TRY_ASSIGN(GitObject object, objects_->read(oid));
  if (object.type != type) {
    return fail(ErrorCode::corrupt, "cannot read object '" + oid.hex() + "'",
                "it is a " + std::string(to_string(object.type)) + ", not a " + std::string(to_string(type)));
  }
  return object;
}

Result<ObjectId> CommittedTrees::tree_of_commit(const ObjectId& commit) {
  TRY_ASSIGN(const auto known, index_.commit(commit));
  if (known) return known->tree;
  TRY_ASSIGN(const GitObject object, read(commit, ObjectType::commit));
  // A commit begins with "tree <oid>\n" (gitdatamodel).
  const std::string_view text(reinterpret_cast<const char*>(object.content.data()), object.content.size());
  const auto tree = text.starts_with("tree ") ? ObjectId::from_hex(text.substr(5, ObjectId::kHexDigits)) : std::nullopt;
  if (!tree) return fail(ErrorCode::corrupt, "cannot read commit '" + commit.hex() + "'", "it names no tree");
  return *tree;
}

Result<CommittedTree> CommittedTrees::tree(const ObjectId& oid) {
  CommittedTree out;
  if (auto indexed = index_.tree(oid)) {
    const Tree& tree = **indexed;
    for (size_t i = 0; i < tree.size(); ++i) {
      const TreeEntry entry = tree.entry(i);
      out.emplace(entry.name, CommittedEntry{entry.kind, entry.oid});
    }
    return out;
  } else if (indexed.error().code != ErrorCode::not_found) {
    return fail(indexed.error());
  }
  TRY_ASSIGN(const GitObject object, read(oid, ObjectType::tree));
  TRY_ASSIGN(const auto entries, parse_raw_tree(oid, object.content));
  for (const auto& entry : entries) out.emplace(entry.name, CommittedEntry{kind_of(entry.mode), entry.oid});
  return out;
}

Result<uint64_t> CommittedTrees::count_files(const ObjectId& oid) {
  uint64_t files = 0;
  std::vector<ObjectId> left{oid};
  while (!left.empty()) {
    const ObjectId next = left.back();
    left.pop_back();
    TRY_ASSIGN(const CommittedTree entries, tree(next));
    for (const auto& [name, entry] : entries) {
      if (entry.kind == EntryKind::directory) left.push_back(entry.oid);
      if (entry.kind != EntryKind::directory && entry.kind != EntryKind::submodule) ++files;
    }
  }
  return files;
}

Result<std::optional<ObjectId>> head_commit(const std::filesystem::path& git_directory, const UserIds& owner) {
  const std::string sentence = "cannot read HEAD of '" + git_directory.string() + "'";
  TRY_ASSIGN(const auto parsed, run_in_gitdir({git_directory, owner, {"rev-parse", "-q", "--verify", "HEAD"}, {}, {}}));
  if (parsed.status == 0) {
    const auto commit = ObjectId::from_hex(without_last_newline(parsed.out));
    if (!commit) return fail(ErrorCode::corrupt, sentence, "it is '" + without_last_newline(parsed.out) + "'");
    return commit;
  }
  // Unborn, or broken: an unborn one names a branch that does not exist.
  TRY_ASSIGN(const auto branch, run_in_gitdir({git_directory, owner, {"symbolic-ref", "-q", "HEAD"}, {}, {}}));
  if (branch.status == 0) {
    const std::string name = without_last_newline(branch.out);
    TRY_ASSIGN(const auto exists, run_in_gitdir({git_directory, owner, {"for-each-ref", name}, {}, {}}));
    if (exists.status == 0 && exists.out.empty()) return std::nullopt;
  }
  return fail(ErrorCode::corrupt, sentence, parsed.err.empty() ? "it names no commit" : parsed.err);
}

}  // namespace artifactfs
