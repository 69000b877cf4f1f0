#include "workdir/manifests.h"

#include <algorithm>
#include <array>

#include "base/log.h"
#include "workdir/tree_walk.h"

namespace artifactfs {

namespace {

constexpr auto kManifests = std::to_array<std::string_view>({
    ".gitattributes",
    ".gitignore",
    ".gitmodules",
    ".npmrc",
    ".nvmrc",
    ".python-version",
    ".tool-versions",
    "AGENTS.md",
    "BUILD",
    "BUILD.bazel",
    "Brewfile",
    "CLAUDE.md",
    "CMakeLists.txt",
    "Cargo.lock",
    "Cargo.toml",
    "Dockerfile",
    "Gemfile",
    "Gemfile.lock",
    "Makefile",
    "MODULE.bazel",
    "Package.resolved",
    "Package.swift",
    "Pipfile",
    "Pipfile.lock",
    "README.md",
    "WORKSPACE",
    "build.gradle",
    "build.gradle.kts",
    "bun.lockb",
    "composer.json",
    "composer.lock",
    "conanfile.txt",
    "deno.json",
    "docker-compose.yml",
    "flake.lock",
    "flake.nix",
    "go.mod",
    "go.sum",
    "go.work",
    "gradle.lockfile",
    "meson.build",
    "mix.exs",
    "mix.lock",
    "package-lock.json",
    "package.json",
    "packages.config",
    "pdm.lock",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "poetry.lock",
    "pom.xml",
    "pyproject.toml",
    "requirements.txt",
    "rust-toolchain.toml",
    "settings.gradle",
    "setup.cfg",
    "setup.py",
    "tsconfig.json",
    "turbo.json",
    "uv.lock",
    "vcpkg.json",
    "yarn.lock",
});

// One walk for the manifests and for symlinks (their size is asked for by every `ls -l`), then one for all.
class ManifestsFirst {
 public:
  ManifestsFirst(TreeIndex& index, BlobStore& blobs, const ObjectId& tree)
      : index_(index), blobs_(blobs), tree_(tree), walk_(index, tree) {}

  std::vector<ObjectId> operator()(size_t max) {
    std::vector<ObjectId> batch;
    while (batch.empty() && !ended_) {
      fill(batch, max);
      batch = blobs_.missing(batch);
    }
    return batch;
  }

 private:
  void fill(std::vector<ObjectId>& batch, size_t max) {
    while (batch.size() < max) {
      const auto entry = walk_.next();
      if (!entry) log::warning("the background download ends early: {}", entry.error().text());
      if (!entry || !*entry) {
        ended_ = !entry || second_pass_;
        second_pass_ = true;
        walk_ = TreeWalk(index_, tree_);
        return;
      }
      if (second_pass_ || (*entry)->kind == EntryKind::symlink || is_manifest((*entry)->name)) {
        batch.push_back((*entry)->oid);
      }
    }
  }

  TreeIndex& index_;
  BlobStore& blobs_;
  ObjectId tree_;
  TreeWalk walk_;
  bool second_pass_ = false;
  bool ended_ = false;
};

}  // namespace

bool is_manifest(std::string_view name) { return std::ranges::find(kManifests, name) != kManifests.end(); }

ObjectFetcher::NextBatch manifests_first(TreeIndex& index, BlobStore& blobs, const ObjectId& tree) {
  return ManifestsFirst(index, blobs, tree);
}

}  // namespace artifactfs
