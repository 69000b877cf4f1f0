#include "workdir/gitdir.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>

#include "base/unique_fd.h"
#include "workdir/committed_trees.h"
#include "workdir/gitdir_command.h"
#include "workdir/lock_file.h"

namespace artifactfs {

namespace {

struct PackedRef {
  ObjectId oid;
  std::optional<ObjectId> peeled;
};
using PackedRefs = std::map<std::string, PackedRef>;

// gitrepository-layout(5), git-pack-refs(1): "<oid> <name>" lines, "^<oid>" peels the line before it.
PackedRefs parse_packed_refs(std::string_view text) {
  PackedRefs refs;
  PackedRef* last = nullptr;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with('^') && last != nullptr) {
      last->peeled = ObjectId::from_hex(line.substr(1));
    } else if (line.size() > ObjectId::kHexDigits + 1 && !line.starts_with('#')) {
      if (const auto oid = ObjectId::from_hex(line.substr(0, ObjectId::kHexDigits))) {
        last = &(refs[std::string(line.substr(ObjectId::kHexDigits + 1))] = PackedRef{*oid, std::nullopt});
      }
    }
  }
  return refs;
}

std::string format_packed_refs(const PackedRefs& refs) {
  std::string out = "# pack-refs with: peeled fully-peeled sorted \n";
  for (const auto& [name, ref] : refs) {
    out.append(ref.oid.hex()).append(" ").append(name).append("\n");
    if (ref.peeled) out.append("^").append(ref.peeled->hex()).append("\n");
  }
  return out;
}

// Where a clone keeps the remote's ref; empty for what a clone does not keep.
std::string local_name(const std::string& remote_name) {
  if (remote_name.starts_with("refs/heads/")) return "refs/remotes/origin/" + remote_name.substr(11);
  if (remote_name.starts_with("refs/tags/")) return remote_name;
  return {};
}

void merge_refs(PackedRefs& refs, std::span<const RefRow> remote_refs) {
  for (const auto& ref : remote_refs) {
    if (std::string name = local_name(ref.name); !name.empty()) refs[std::move(name)] = PackedRef{ref.oid, ref.peeled};
  }
}

std::string format_shallow(const std::set<ObjectId>& shallow) {
  std::string out;
  for (const auto& oid : shallow) out.append(oid.hex()).append("\n");
  return out;
}

std::set<ObjectId> parse_shallow(std::string_view text) {
  std::set<ObjectId> out;
  for (size_t i = 0; i + ObjectId::kHexDigits <= text.size(); i += ObjectId::kHexDigits + 1) {
    if (const auto oid = ObjectId::from_hex(text.substr(i, ObjectId::kHexDigits))) out.insert(*oid);
  }
  return out;
}

// A value as git-config(1) reads it back.
std::string config_value(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string config_text(const GitdirSpec& spec) {
  // No extensions.partialClone: libgit2 and others refuse to open a repository that has it; git itself needs only
  // remote.<name>.promisor. Maintenance would repack what the daemon shares and writes.
  std::string out =
      "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n"
      "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
      "[remote \"origin\"]\n\turl = " +
      config_value(spec.remote_url) +
      "\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n\tpromisor = true\n\tpartialclonefilter = blob:none\n";
  out +=
      "[core]\n\tfsmonitor = " + config_value(program_config_value(spec.directory.parent_path() / kFsmonitorLinkName)) +
      "\n\tfsmonitorHookVersion = 2\n\tuntrackedCache = true\n";
  // For this URL only, and beside the user's own helpers. "!": run as it stands, not as `git credential-<name>`.
  if (spec.remote_url.starts_with("http://") || spec.remote_url.starts_with("https://")) {
    out += "[credential " + config_value(spec.remote_url) + "]\n\thelper = " +
           config_value("!" + program_config_value(spec.directory.parent_path() / kCredentialLinkName)) + "\n";
  }
  if (!spec.branch.empty() && !spec.upstream_branch.empty()) {
    out += "[branch " + config_value(spec.branch) +
           "]\n\tremote = origin\n\tmerge = " + config_value("refs/heads/" + spec.upstream_branch) + "\n";
  }
  return out;
}

Result<void> write_owned(const std::filesystem::path& path, std::string_view content, const UserIds& owner) {
  TRY(make_directories(path.parent_path(), 0755));
  TRY(write_file_atomically(path, content, 0644));
  return give_to(path, owner);
}

Result<void> give_directories_to(const std::filesystem::path& directory, const UserIds& owner) {
  TRY(give_to(directory, owner));
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory, error)) {
    TRY(give_to(entry.path(), owner));
  }
  return {};
}

std::string read_or_empty(const std::filesystem::path& path) { return read_file(path).value_or(std::string()); }

}  // namespace

std::string program_config_value(const std::filesystem::path& program) {
  std::string path = program.string();
  // run-command.c, prepare_shell_cmd(): a command without any of these is not given to a shell.
  if (path.find_first_of("|&;<>()$`\\\"' \t\n*?[#~=%") == std::string::npos) return path;
  std::string quoted = "'";
  for (const char c : path) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

bool is_gitdir(const std::filesystem::path& directory) { return ::access((directory / "HEAD").c_str(), F_OK) == 0; }

Result<void> create_gitdir(const GitdirSpec& spec, std::span<const RefRow> remote_refs,
                           std::span<const ObjectId> shallow) {
  const auto& directory = spec.directory;
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  for (const char* sub : {"objects/pack", "objects/info", "refs/heads", "refs/tags", "info", "hooks"}) {
    TRY(make_directories(directory / sub, 0755));
  }
  const std::string alternates =
      spec.store_objects.string() + "\n" + (directory.parent_path() / kProjectedObjectsName).string() + "\n";
  TRY(write_owned(directory / "objects/info/alternates", alternates, spec.owner));
  TRY(write_owned(directory / "config", config_text(spec), spec.owner));
  TRY(write_owned(directory / "description", "artifactfs workdir\n", spec.owner));
  TRY(write_owned(directory / "info/exclude", "", spec.owner));
  if (!shallow.empty()) {
    TRY(write_owned(directory / "shallow", format_shallow({shallow.begin(), shallow.end()}), spec.owner));
  }
  PackedRefs refs;
  merge_refs(refs, remote_refs);
  TRY(write_owned(directory / "packed-refs", format_packed_refs(refs), spec.owner));
  for (const auto& ref : remote_refs) {
    if (ref.name != "HEAD" || !ref.symbolic_target) continue;
    if (std::string target = local_name(*ref.symbolic_target); refs.contains(target)) {
      TRY(write_owned(directory / "refs/remotes/origin/HEAD", "ref: " + target + "\n", spec.owner));
    }
  }
  const std::string commit_line = spec.commit.hex() + "\n";
  if (!spec.branch.empty()) TRY(write_owned(directory / "refs/heads" / spec.branch, commit_line, spec.owner));
  TRY(give_directories_to(directory, spec.owner));
  const std::string head = spec.branch.empty() ? commit_line : "ref: refs/heads/" + spec.branch + "\n";
  return write_owned(directory / "HEAD", head, spec.owner);
}

namespace {

Result<void> add_shallow(const std::filesystem::path& directory, const UserIds& owner,
                         std::span<const ObjectId> shallow, const ObjectId& mounted) {
  if (shallow.empty()) return {};
  TRY_ASSIGN(LockFile lock, LockFile::acquire(directory / "shallow"));
  std::set<ObjectId> all = parse_shallow(read_or_empty(directory / "shallow"));
  const size_t present = all.size();
  if (std::ranges::find(shallow, mounted) != shallow.end() && !all.contains(mounted)) return {};
  all.insert(shallow.begin(), shallow.end());
  // A git that is fetching gives up when the file is written anew.
  if (all.size() == present) return {};
  return lock.commit(format_shallow(all), owner);
}

}  // namespace

Result<void> add_remote_refs(const std::filesystem::path& directory, const UserIds& owner,
                             std::span<const RefRow> remote_refs, std::span<const ObjectId> shallow,
                             const ObjectId& mounted) {
  TRY(add_shallow(directory, owner, shallow, mounted));
  TRY_ASSIGN(LockFile lock, LockFile::acquire(directory / "packed-refs"));
  PackedRefs refs = parse_packed_refs(read_or_empty(directory / "packed-refs"));
  merge_refs(refs, remote_refs);
  return lock.commit(format_packed_refs(refs), owner);
}

Result<std::vector<std::string>> unpushed_work(const std::filesystem::path& directory, const UserIds& owner) {
  const auto run = [&](std::vector<std::string> arguments) {
    return run_in_gitdir({directory, owner, std::move(arguments), {}, {}});
  };
  const std::string sentence = "cannot look for unpushed work in '" + directory.string() + "'";
  std::vector<std::string> found;

  TRY_ASSIGN(const auto branches, run({"for-each-ref", "--format=%(refname)", "refs/heads", "refs/stash"}));
  if (branches.status != 0) return fail(ErrorCode::io, sentence, branches.err);
  std::vector<std::string> names;
  std::istringstream lines(branches.out);
  for (std::string line; std::getline(lines, line);) names.push_back(line);
  std::set<std::string> reported;
  // Last: when HEAD is on a branch, the branch has reported the same commits.
  TRY_ASSIGN(const auto head, head_commit(directory, owner));
  if (head) names.emplace_back("HEAD");
  for (const auto& name : names) {
    TRY_ASSIGN(const auto list, run({"rev-list", name, "--not", "--remotes", "--tags"}));
    if (list.status != 0) return fail(ErrorCode::io, sentence, list.err);
    if (list.out.empty() || !reported.insert(list.out).second) continue;
    const auto count = std::ranges::count(list.out, '\n');
    const std::string what = name == "refs/stash"              ? "the stash"
                             : name.starts_with("refs/heads/") ? "branch '" + name.substr(11) + "'"
                                                               : name;
    found.push_back(std::to_string(count) + (count == 1 ? " commit of " : " commits of ") + what + " not pushed");
  }
  return found;
}

}  // namespace artifactfs
