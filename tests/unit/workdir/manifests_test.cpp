// The order of the background download.
#include "workdir/manifests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/workdir/indexed_repository.h"
#include "workdir/tree_walk.h"

namespace artifactfs::test {
namespace {

TEST(Manifests, ComeFirstFromAllOverTheTreeThenTheRest) {
  IndexedRepository repository;
  auto& git = repository.git();
  git.write_file("a.c", "a");
  git.write_file("packages/one/package.json", "{1}");
  git.write_file("packages/one/x.c", "x");
  git.make_symlink("z-link", "a.c");
  git.commit("first");
  const CommitRow row = repository.import_head();
  auto blobs = BlobStore::open(repository.path() / "blobs").value();
  auto next = manifests_first(repository.index(), *blobs, row.tree);
  EXPECT_THAT(next(100),
              testing::ElementsAre(repository.oid("HEAD:packages/one/package.json"), repository.oid("HEAD:z-link")));
  const auto rest = next(100);
  EXPECT_THAT(rest, testing::Contains(repository.oid("HEAD:a.c")));
  EXPECT_THAT(rest, testing::Contains(repository.oid("HEAD:packages/one/x.c")));
  EXPECT_TRUE(next(100).empty());
}

TEST(Manifests, WhatIsCachedIsLeftOut) {
  IndexedRepository repository;
  repository.git().write_file("a.c", "a");
  repository.git().write_file("b.c", "b");
  repository.git().commit("first");
  const CommitRow row = repository.import_head();
  auto blobs = BlobStore::open(repository.path() / "blobs").value();
  ASSERT_TRUE(blobs->put(repository.oid("HEAD:a.c"), std::as_bytes(std::span("a", 1))));
  auto next = manifests_first(repository.index(), *blobs, row.tree);
  EXPECT_THAT(next(100), testing::ElementsAre(repository.oid("HEAD:b.c")));
}

TEST(TreeWalk, VisitsEveryBlobOnce) {
  IndexedRepository repository;
  for (const char* name : {"a", "b/c", "b/d/e", "f"}) repository.git().write_file(name, name);
  repository.git().commit("first");
  const CommitRow row = repository.import_head();
  TreeWalk walk(repository.index(), row.tree);
  std::vector<std::string> names;
  while (const auto entry = walk.next().value()) names.emplace_back(entry->name);
  EXPECT_THAT(names, testing::ElementsAre("a", "c", "e", "f"));
}

}  // namespace
}  // namespace artifactfs::test
