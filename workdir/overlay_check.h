// check_overlay: whether overlay.db and upper/ belong together, and what a crash left behind.
//
// Run with `repair` at every open, before anything is shown; without, by tests and `doctor`, on an overlay that nobody
// has open.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"

namespace artifactfs {

struct OverlayFinding {
  enum class Kind {
    leftover,  // of a crash, and nothing the user had been promised: an orphan, a half-made copy
    damage,    // something that must not be
  };
  Kind kind = Kind::leftover;
  std::string text;
  bool repaired = false;
};

/// `directory` is mounts/<mount-id>. Empty when all is well. Errors when it cannot be read at all.
Result<std::vector<OverlayFinding>> check_overlay(const std::filesystem::path& directory, bool repair);

}  // namespace artifactfs
