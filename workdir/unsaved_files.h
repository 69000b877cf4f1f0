// find_unsaved_files: the files of a working tree that would be lost with its overlay: what the overlay has changed and
// HEAD does not have. Found in the overlay's rows, upper/ and git's objects, never by looking at the mount; only
// directories that the overlay has changed are walked, one at a time.
//
// A file counts when it was touched in the mount (an untouched one is the base's, wherever HEAD has gone since) and
// HEAD has another content, kind or executable bit at its path, or nothing, unless git ignores it then. A missing file
// counts when the base and HEAD have it (with a sparse checkout, where files are missing on purpose, it does not).
// Contents are compared by their hash as they stand: one that git would convert before storing it counts as changed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/subprocess.h"
#include "workdir/overlay_tree.h"
#include "workdir/upper_files.h"

namespace artifactfs {

struct UnsavedFiles {
  struct Group {
    uint64_t count = 0;
    std::string example;  // a path
    void add(const std::string& path, uint64_t files = 1) {
      if (count == 0) example = path;
      count += files;
    }
  };
  Group changed;
  /// Files that HEAD does not have, where the rules of what is ignored could not be read.
  Group maybe_ignored;
  /// Submodules that have files: repositories of their own, which are not looked into.
  Group submodules;
};

/// What the search reads. The references must outlive it.
struct UnsavedFilesSources {
  const BaseFiles& base;
  OverlayTree& tree;
  UpperFiles& upper;
  TreeIndex& index;
  std::filesystem::path workspace;      // mounts/<mount-id>
  std::filesystem::path git_directory;  // of the workspace
  std::filesystem::path store_objects;
  UserIds owner;
};

/// `commit`: HEAD; nullopt while it is unborn.
Result<UnsavedFiles> find_unsaved_files(const UnsavedFilesSources& sources, const std::optional<ObjectId>& commit);

/// A line for the user for each group that is not empty.
std::vector<std::string> describe(const UnsavedFiles& files);

/// `path` in quotes, with bytes that are not printable ASCII as git shows them (core.quotePath).
std::string quoted_path(std::string_view path);
/// "4 changed files are not committed, e.g. 'src/a.c'"; `one` and `many` are what comes behind the number.
std::string describe_count(uint64_t count, std::string_view one, std::string_view many, std::string_view example);

}  // namespace artifactfs
