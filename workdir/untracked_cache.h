// The index's UNTR extension (gitformat-index(5)) for a tree without untracked files.
//
// With core.fsmonitor answering, git trusts every directory marked valid here: it neither opens nor lstat()s it. It
// does open the .gitignore of each directory that is said to have one, which would fetch it; so a .gitignore that is
// not cached is left out. That is safe because such a directory gets stat data that match nothing: without an answer
// from fsmonitor git lstat()s directories, finds this one changed and, seeing the .gitignore, looks again at everything
// below it; with an answer, a change below a directory invalidates all directories above it, with the same effect.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "workdir/git_index.h"
#include "workdir/index_directories.h"

namespace artifactfs {

/// The extension's content. `directories` are those of spec.tree.
Result<std::string> untracked_cache(const GitIndexSpec& spec, const std::vector<IndexDirectory>& directories,
                                    IndexStatSource& stats);

/// What git calls the oid of a file of ignore rules (it appends a newline before it hashes); null when there is none.
Result<ObjectId> ignore_file_oid(const std::filesystem::path& path);

}  // namespace artifactfs
