// A thousand readers that wait for a server which does not answer slow nobody, and leave nothing when they end.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <fstream>

#include "base/unique_fd.h"
#include "tests/harness/delay_proxy.h"
#include "tests/harness/git_http_server.h"
#include "tests/integration/fuse/mounted.h"
#include "tests/integration/mount/mount_test.h"

namespace artifactfs::test {
namespace {

namespace fs = std::filesystem;

constexpr int kReadersEach = 500;  // of two mounts
constexpr int kSmallFiles = 400;   // of 10 KB, a reader each
constexpr int kLargeFiles = 5;     // of 3 MB, read by the other hundred
constexpr uint64_t kSmallBytes = 10'000;
constexpr uint64_t kLargeBytes = 3'000'000;

void ring_every_5_ms() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGALRM, &action, nullptr);
  const itimerval timer{{0, 5000}, {0, 5000}};
  ::setitimer(ITIMER_REAL, &timer, nullptr);
}

std::string file_of_reader(int reader) {
  return reader < kSmallFiles ? "small/f" + std::to_string(reader) : "large/f" + std::to_string(reader % kLargeFiles);
}

// Writes `value` through a shared mapping of a mounted file; true when msync says that it is done.
bool write_mapped(const fs::path& file, char value) {
  const UniqueFd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return false;
  void* const page = ::mmap(nullptr, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (page == MAP_FAILED) return false;
  *static_cast<char*>(page) = value;
  const bool synced = ::msync(page, 1, MS_SYNC) == 0;
  ::munmap(page, 1);
  return synced;
}

size_t open_descriptors_of(pid_t pid) {
  return static_cast<size_t>(std::distance(fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd"), {}));
}

uint64_t resident_bytes_of(pid_t pid) {
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  uint64_t pages_total = 0;
  uint64_t pages_resident = 0;
  statm >> pages_total >> pages_resident;
  return pages_resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

bool died_of(int status, int signal) { return WIFSIGNALED(status) && WTERMSIG(status) == signal; }

TEST_F(MountTest, ThousandReadersOfAHangingServerSlowNobody) {
  GitRepository source(artifactfs_ / "source");
  source.git({"config", "core.compression", "0"});
  for (int i = 0; i < kSmallFiles; ++i) {
    source.write_file("small/f" + std::to_string(i), noise(kSmallBytes, static_cast<uint64_t>(i)));
  }
  for (int i = 0; i < kLargeFiles; ++i) {
    source.write_file("large/f" + std::to_string(i), noise(kLargeBytes, 1000 + static_cast<uint64_t>(i)));
  }
  source.write_file("cached/small", "cached");
  source.write_file("cached/large", noise(kLargeBytes, 1));
  source.write_file("for the timer", "arrived");
  source.commit("first");
  // With sizes known readers wait in READ, without them already in GETATTR.
  source.bare_clone(served() / "sized.git", {.object_info = true});
  source.bare_clone(served() / "unsized.git", {.object_info = false});
  const GitHttpServer server(served());
  DelayProxy proxy("127.0.0.1", server.port());
  artifactfs_.start_daemon();
  std::vector<fs::path> mounts;
  for (const std::string name : {"sized", "unsized"}) {
    mounts.push_back(artifactfs_.mount("http://127.0.0.1:" + std::to_string(proxy.port()) + "/" + name + ".git", name,
                                       {"--prefetch=none", "--fetch-timeout=1h"}));
    (void)content_of(mounts.back() / "cached/small");
    (void)content_of(mounts.back() / "cached/large");
  }
  for (const auto& [name, entry] : ls_tree(served() / "sized.git")) (void)stat_of(mounts[0] / name);
  for (const auto& mount : mounts) EXPECT_EQ(0, ::truncate((mount / "cached/small").c_str(), 6));  // copied up
  const size_t descriptors_before = open_descriptors_of(artifactfs_.daemon_pid());
  const uint64_t resident_before = resident_bytes_of(artifactfs_.daemon_pid());
  const auto blocked = [&](const fs::path& mount) { return artifactfs_.status(mount)["blocked_readers"].get<int>(); };

  proxy.set_hang(true);
  std::vector<std::unique_ptr<ReadingChild>> readers;
  for (const auto& mount : mounts) {
    for (int i = 0; i < kReadersEach; ++i) {
      readers.push_back(std::make_unique<ReadingChild>((mount / file_of_reader(i)).string()));
    }
    readers.push_back(std::make_unique<ReadingChild>((mount / "for the timer").string(), ring_every_5_ms));
  }
  // Of several that wait for one page (or one file's attributes) the kernel asks for one.
  for (const auto& mount : mounts) {
    ASSERT_TRUE(eventually([&] { return blocked(mount) >= kSmallFiles + kLargeFiles + 1; })) << blocked(mount);
  }

  // Everybody else goes on. Nothing is timed: what waited for the server would wait an hour.
  for (const auto& mount : mounts) {
    for (int round = 0; round < 20; ++round) {
      EXPECT_EQ("cached", content_of(mount / "cached/small"));
      EXPECT_EQ(kLargeBytes, content_of(mount / "cached/large").size());
      EXPECT_EQ(6, stat_of(mount / "cached/small").st_size);
      EXPECT_EQ(static_cast<size_t>(kSmallFiles + kLargeFiles + 3 + 3), names_below(mount).size());
      EXPECT_EQ("", git_in(mount, {"tag"}));
      EXPECT_TRUE(write_mapped(mount / "cached/small", 'c'));
    }
  }
  EXPECT_EQ(static_cast<uint64_t>(kSmallBytes), static_cast<uint64_t>(stat_of(mounts[0] / "small/f7").st_size));
  // Also what only the daemon has: reopened without the kernel's pages.
  const auto third = artifactfs_.mount((served() / "sized.git").string(), "third");
  EXPECT_EQ(noise(kSmallBytes, 7), content_of(third / "small/f7"));
  for (const auto& reader : readers) EXPECT_FALSE(reader->has_ended());

  // Ended one by one while the server still hangs.
  for (size_t i = 0; i < readers.size(); ++i) {
    const bool has_timer = (i + 1) % (kReadersEach + 1) == 0;
    if (has_timer) continue;
    const int signal = i % 2 == 0 ? SIGINT : SIGKILL;
    ::kill(readers[i]->pid(), signal);
    EXPECT_TRUE(died_of(readers[i]->wait(), signal)) << i;
  }
  for (const auto& mount : mounts) {
    EXPECT_TRUE(eventually([&] { return blocked(mount) == 1; })) << blocked(mount);
  }
  // (What the two that are left wait for was asked in one request with what others did: nothing to be seen yet of the
  // fetches.) The two with a timer have been interrupted all the time; now they get their data.
  EXPECT_FALSE(readers[kReadersEach]->has_ended());
  proxy.set_hang(false);
  for (const size_t i : {size_t{kReadersEach}, size_t{2 * kReadersEach + 1}}) EXPECT_EQ(0, readers[i]->wait()) << i;
  for (const auto& mount : mounts) {
    artifactfs_.wait_for_status(
        mount, [](const auto& status) { return status["blocked_readers"] == 0 && status["pending_fetches"] == 0; });
    EXPECT_EQ("arrived", content_of(mount / "for the timer"));
    EXPECT_EQ(noise(kSmallBytes, 9), content_of(mount / "small/f9"));
    EXPECT_EQ(noise(kLargeBytes, 1001), content_of(mount / "large/f1"));
  }
  // Nothing of the thousand is left. (A third mount has come, with databases of its own. Contents on their way are 1.5
  // MB of small and 15 MB of large files; what the allocator keeps of them is not a leak.)
  EXPECT_LE(open_descriptors_of(artifactfs_.daemon_pid()), descriptors_before + 100);
  EXPECT_LE(resident_bytes_of(artifactfs_.daemon_pid()), resident_before + (uint64_t{100} << 20));
}

}  // namespace
}  // namespace artifactfs::test
