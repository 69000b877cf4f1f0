// RandomOperation: a seeded stream of filesystem operations, each of which can be applied to an overlay and to a plain
// directory, and a listing of both in one form.
#pragma once

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/workdir_overlay/overlay_fixture.h"

namespace artifactfs::test {

struct RandomOperation {
  enum class Kind {
    create,
    mkdir,
    symlink,
    link,
    unlink,
    rmdir,
    rename,
    rename_no_replace,
    exchange,
    write,
    truncate,
    chmod,
    punch,
    count
  };
  Kind kind = Kind::create;
  std::string path, other;
  uint64_t offset = 0;
  std::string data;
  uint32_t mode = 0;

  static RandomOperation next(std::mt19937_64& random);
  /// Whether it succeeded.
  bool apply(Files& files) const;
  bool apply(const std::filesystem::path& root) const;
  std::string text() const;
};

/// What operations begin with, the same in both.
MemoryBase::Files model_base();
void write_model_base(const std::filesystem::path& root);
/// As Files::tree().
std::vector<std::string> tree_of(const std::filesystem::path& root);

}  // namespace artifactfs::test
