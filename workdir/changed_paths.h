// ChangedPaths: an answer to "what has changed since?", for git's fsmonitor.
#pragma once

#include <string>
#include <vector>

namespace artifactfs {

struct ChangedPaths {
  /// What to ask with next time. Opaque.
  std::string token;
  /// The token asked with is unknown or too old: anything may have changed, and `paths` is empty.
  bool everything = false;
  /// Relative to the root, sorted, each once; "<path>/" means all below a directory that was made, moved or removed.
  std::vector<std::string> paths;
};

}  // namespace artifactfs
