// GitRepository: builds repositories for tests by running the real git, in an environment that makes every object id
// the same on every machine: fixed author and committer, dates that count up from 2023-11-14T22:13:20Z by a minute a
// commit, no user or system configuration, default branch main.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/subprocess.h"

namespace artifactfs::test {

/// What a served repository allows.
struct ServeOptions {
  bool allow_filter = true;         // uploadpack.allowFilter
  bool allow_any_sha1 = true;       // uploadpack.allowAnySHA1InWant
  bool object_info = false;         // transfer.advertiseObjectInfo
  bool allow_push = true;           // http.receivepack, and for git:// daemon.receivepack
  bool update_server_info = false;  // for the dumb protocol
};

/// An environment in which git sees no configuration but the repository's; HOME is `home`.
Environment git_environment(const std::filesystem::path& home = "/nonexistent");

/// A repository with a work tree. Functions throw std::runtime_error (with git's words) when git fails.
/// Not thread-safe.
class GitRepository {
 public:
  /// `git init` in `path`, which is created; an existing repository there is taken as it is.
  explicit GitRepository(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }

  /// Work tree changes; parents are created. All but submodule() are staged by the next commit().
  void write_file(std::string_view name, std::string_view content, bool executable = false);
  void make_symlink(std::string_view name, std::string_view target);
  void remove(std::string_view name);
  /// An index entry of mode 160000 with an empty directory (no .gitmodules is written).
  void submodule(std::string_view name, std::string_view commit_hex);

  /// Stages everything and commits (an empty commit is allowed); the commit's id in hex.
  std::string commit(std::string_view message);
  void branch(std::string_view name, std::string_view start = "HEAD");
  void checkout(std::string_view branch);
  void tag(std::string_view name, std::string_view target = "HEAD");
  /// Returns the id of the tag object.
  std::string annotated_tag(std::string_view name, std::string_view message, std::string_view target = "HEAD");
  std::string rev_parse(std::string_view revision);

  /// Runs git in the work tree; its output without the last newline.
  std::string git(const std::vector<std::string>& arguments, std::string_view input = {});

  /// A bare clone to serve from (HEAD and all refs as here), with `options` set in its configuration.
  void bare_clone(const std::filesystem::path& destination, const ServeOptions& options = {}) const;

 private:
  std::filesystem::path path_;
  int64_t next_date_ = 1'700'000'000;
};

/// Sets `options` in the configuration of a bare repository.
void configure_for_serving(const std::filesystem::path& bare_repository, const ServeOptions& options);

struct GeneratedRepository {
  uint64_t files = 1000;
  uint64_t files_per_directory = 50;  // of a two-level tree: d0000/d0000/f00000.txt
  uint64_t file_bytes = 64;           // each; every file's content differs
  uint64_t commits = 1;               // each but the first changes one file
};

/// Writes a bare repository through `git fast-import` (about 50,000 small files a second), ready to be served; returns
/// the id of refs/heads/main. The content is the same for the same description. Incompressible when file_bytes > 1024.
std::string generate_bare_repository(const std::filesystem::path& destination, const GeneratedRepository& description,
                                     const ServeOptions& options = {});

}  // namespace artifactfs::test
