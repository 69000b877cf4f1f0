// BlobStore with several processes, killed processes and full disks.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "base/log.h"
#include "base/unique_fd.h"
#include "blob_test_content.h"
#include "temporary_directory.h"

namespace artifactfs {
namespace {

constexpr int kSkipped = 77;

// A child that runs `body` and exits with 0 when it met no test failure, kSkipped when it returned false.
pid_t fork_child(const std::function<bool()>& body) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  const bool done = body();
  ::_exit(::testing::Test::HasFailure() ? 1 : done ? 0 : kSkipped);
}

int wait_for(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::vector<std::byte> numbered(unsigned i) {
  return i % 10 == 0 ? text_content(i, BlobStore::kFrameBytes + i) : text_content(i, 200 + i * 11);
}

TEST(BlobProcesses, TwoWriteOverlappingBlobsAndBothReadAll) {
  TemporaryDirectory directory;
  std::vector<pid_t> children;
  for (unsigned child = 0; child < 2; ++child) {
    children.push_back(fork_child([&, child] {
      auto store = open_blob_store(directory.path());
      for (unsigned i = 0; i < 200; ++i) {
        const auto content = numbered(i + child * 100);
        EXPECT_TRUE(store->put(id_of(content), content));
        EXPECT_TRUE(i % 50 != 0 || store->flush());
      }
      for (unsigned i = 0; i < 200; ++i) EXPECT_TRUE(reads_as(*store, numbered(i + child * 100)));
      return true;
    }));
  }
  for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
  auto store = open_blob_store(directory.path());
  for (unsigned i = 0; i < 300; ++i) EXPECT_TRUE(reads_as(*store, numbered(i))) << i;
  EXPECT_EQ(store->stats().blobs, 300U);
}

TEST(BlobProcesses, WhatAKilledWriterFlushedStaysAndItsGarbageGoes) {
  TemporaryDirectory directory;
  for (unsigned round = 0; round < 5; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const UniqueFd read_end(pipe_ends[0]);
    UniqueFd write_end(pipe_ends[1]);
    const pid_t child = fork_child([&] {
      auto store = open_blob_store(directory.path());
      for (unsigned i = 0;; ++i) {
        const auto content = numbered(round * 10'000 + i);
        if (!store->put(id_of(content), content) || (i % 7 == 0 && !store->flush())) return false;
        const char flushed = i % 7 == 0 ? 'F' : '.';
        if (::write(write_end.get(), &flushed, 1) != 1) return false;
      }
    });
    write_end.reset();
    unsigned count = 0, flushed = 0;
    for (char c; count < 30 + round * 20 && ::read(read_end.get(), &c, 1) == 1; ++count) {
      if (c == 'F') flushed = count + 1;
    }
    ::kill(child, SIGKILL);
    EXPECT_EQ(wait_for(child), 128 + SIGKILL);
    auto store = open_blob_store(directory.path());
    for (unsigned i = 0; i < flushed; ++i) EXPECT_TRUE(reads_as(*store, numbered(round * 10'000 + i))) << i;
    for (unsigned i = flushed; i < flushed + 300; ++i) {
      const auto content = numbered(round * 10'000 + i);
      EXPECT_TRUE(!store->find(id_of(content)) || reads_as(*store, content));
    }
  }
  EXPECT_LE(segment_files(directory.path()).size(), 5U);
}

// In a mount namespace of its own, so that the file system goes when the child does, however it ends.
bool mount_small_disk(const std::filesystem::path& at, const char* options) {
  return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", at.c_str(), "tmpfs", 0, options) == 0;
}

TEST(BlobProcesses, AFullDiskIsReportedAndTheStoreStaysUsable) {
  TemporaryDirectory directory;
  const pid_t child = fork_child([&] {
    if (!mount_small_disk(directory.path(), "size=4m")) return false;
    auto store = open_blob_store(directory.path() / "blobs");
    const auto first = random_content(0, 1'000'000);
    EXPECT_TRUE(store->put(id_of(first), first));
    EXPECT_TRUE(store->flush());
    unsigned stored = 0;
    for (;; ++stored) {
      const auto content = random_content(stored + 1, 300'000);
      const auto put = store->put(id_of(content), content);
      if (put) continue;
      EXPECT_EQ(put.error().code, ErrorCode::no_space) << put.error().text();
      EXPECT_FALSE(store->find(id_of(content)));
      break;
    }
    EXPECT_GT(stored, 2U);
    const auto large = random_content(99, 3 * BlobStore::kFrameBytes);
    auto writer = store->begin(large.size());
    EXPECT_TRUE(writer);
    const auto appended = (*writer)->append(large);
    EXPECT_EQ(appended.error().code, ErrorCode::no_space);
    EXPECT_FALSE((*writer)->commit(id_of(large)));
    writer->reset();
    for (unsigned i = 0; i < stored; ++i) EXPECT_TRUE(reads_as(*store, random_content(i + 1, 300'000)));
    EXPECT_TRUE(reads_as(*store, first));
    // Room again.
    EXPECT_EQ(::mount("tmpfs", directory.path().c_str(), "tmpfs", MS_REMOUNT, "size=16m"), 0);
    EXPECT_TRUE(store->put(id_of(large), large));
    EXPECT_TRUE(reads_as(*store, large));
    EXPECT_TRUE(store->flush());
    store.reset();
    store = open_blob_store(directory.path() / "blobs");
    EXPECT_TRUE(reads_as(*store, large));
    EXPECT_TRUE(reads_as(*store, first));
    EXPECT_EQ(store->stats().blobs, stored + 2);
    return true;
  });
  const int status = wait_for(child);
  if (status == kSkipped) GTEST_SKIP() << "needs the right to mount a tmpfs";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace artifactfs
