// What the session itself costs: warm calls against a native filesystem, cold lookups by number of session threads,
// sequential reading by size of request. The Filesystem behind it does next to nothing.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>
#include <vector>

#include "fuse/session.h"

namespace artifactfs {
namespace {

constexpr uint64_t kLargeBytes = uint64_t{1} << 30;
constexpr InodeNumber kLarge = 2, kSmall = 3, kFirstNamed = 100;

/// "large" (1 GiB), "small" (16 bytes) and any name "f<number>".
class BenchFilesystem final : public Filesystem {
 public:
  Result<Attributes> lookup(InodeNumber, std::string_view name) override {
    if (name == "large") return attributes(kLarge);
    if (name == "small") return attributes(kSmall);
    return attributes(kFirstNamed + std::strtoull(std::string(name.substr(1)).c_str(), nullptr, 10));
  }
  Ticket getattr(InodeNumber inode, Completion<Attributes> done) override {
    done(attributes(inode));
    return nullptr;
  }
  Result<void> read_directory(InodeNumber, uint64_t, const std::function<bool(const DirectoryEntry&)>&) override {
    return {};
  }
  Ticket readlink(InodeNumber, Completion<std::string> done) override {
    done("");
    return nullptr;
  }
  Ticket read(InodeNumber, uint64_t, size_t size, Completion<ReadData> done) override {
    ReadData data;
    data.size = size;
    data.bytes = std::make_unique_for_overwrite<std::byte[]>(size);
    std::memset(data.bytes.get(), 'x', size);
    done(std::move(data));
    return nullptr;
  }
  Result<std::string> getxattr(InodeNumber, std::string_view) override { return fail(ErrorCode::no_attribute, ""); }
  Result<std::vector<std::string>> listxattr(InodeNumber) override { return {}; }
  Result<FilesystemStats> statfs() override { return FilesystemStats{}; }
  void forget(InodeNumber, uint64_t) override {}

 private:
  static Attributes attributes(InodeNumber inode) {
    Attributes result;
    result.inode = inode;
    result.mode = inode == kRootInode ? S_IFDIR | 0755 : S_IFREG | 0644;
    result.size_bytes = inode == kLarge ? kLargeBytes : 16;
    return result;
  }
};

template <typename Action>
double seconds_of(Action&& action) {
  const auto begin = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// This process's processor time, the session's threads included: what other programs do disturbs it less.
double cpu_seconds() {
  rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// The best of five rounds, in nanoseconds a call.
template <typename Action>
double ns_per_call(int calls, Action&& action) {
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    best = std::min(best, seconds_of([&] {
                      for (int i = 0; i < calls; ++i) action();
                    }));
  }
  return best / calls * 1e9;
}

void warm_calls(const char* label, const std::string& directory) {
  const std::string file = directory + "/small";
  struct stat stat;
  char buffer[16];
  const auto read_file = [&] {
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (::read(fd, buffer, sizeof buffer) != sizeof buffer) std::abort();
    ::close(fd);
  };
  read_file();
  const double stat_ns = ns_per_call(100'000, [&] { ::stat(file.c_str(), &stat); });
  std::printf("%-28s warm stat %6.0f ns   open+read+close %6.0f ns\n", label, stat_ns, ns_per_call(50'000, read_file));
}

void cold_lookups(const std::string& directory, int clients) {
  constexpr int kNames = 40'000;
  static int next = 0;
  const int first = next;
  next += kNames;
  const double cpu_before = cpu_seconds();
  const double seconds = seconds_of([&] {
    std::vector<std::thread> threads;
    for (int client = 0; client < clients; ++client) {
      threads.emplace_back([&, client] {
        struct stat stat;
        for (int i = client; i < kNames; i += clients) {
          ::stat((directory + "/f" + std::to_string(first + i)).c_str(), &stat);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  std::printf("  %d client(s): cold stat %5.1f us (cpu %5.1f)", clients, seconds / kNames * 1e6,
              (cpu_seconds() - cpu_before) / kNames * 1e6);
}

void sequential(const std::string& directory, size_t buffer_bytes) {
  double best = 1e9, best_cpu = 1e9;
  for (int round = 0; round < 3; ++round) {
    const double cpu_before = cpu_seconds();
    const int fd = ::open((directory + "/large").c_str(), O_RDONLY | O_CLOEXEC);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    std::vector<char> buffer(buffer_bytes);
    best = std::min(best, seconds_of([&] {
                      while (::read(fd, buffer.data(), buffer.size()) > 0) continue;
                    }));
    ::close(fd);
    best_cpu = std::min(best_cpu, cpu_seconds() - cpu_before);
  }
  std::printf("  %4zu KiB read(2): %5.2f GB/s (cpu %.2f s/GB)", buffer_bytes >> 10,
              static_cast<double>(kLargeBytes) / best / 1e9, best_cpu * 1e9 / static_cast<double>(kLargeBytes));
}

std::unique_ptr<FuseSession> mount(const std::string& directory, Filesystem& filesystem, FuseOptions options) {
  auto session = FuseSession::mount(directory, options, filesystem, nullptr);
  if (session) return std::move(*session);
  std::fprintf(stderr, "%s\n", session.error().text().c_str());
  std::exit(1);
}

void run(const std::string& native) {
  std::string directory = native + "/fuse-bench-XXXXXX";
  if (::mkdtemp(directory.data()) == nullptr) std::exit(1);
  const std::string small = directory + "/small";
  const int fd = ::open(small.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (::write(fd, "0123456789abcdef", 16) != 16) std::exit(1);
  ::close(fd);
  warm_calls("native", directory);
  ::unlink(small.c_str());
  BenchFilesystem filesystem;
  for (const unsigned threads : {1u, 2u, 4u}) {
    const auto session = mount(directory, filesystem, {.source = "bench", .session_threads = threads});
    if (threads == 1) warm_calls("mount", directory);
    std::printf("%u session thread(s):", threads);
    for (const int clients : {1, 4}) cold_lookups(directory, clients);
    sequential(directory, 128 << 10);
    std::printf("\n");
  }
  for (const char* max_read : {"max_read=131072", "max_read=1048576"}) {
    const auto session = mount(directory, filesystem, {.source = "bench", .extra = {max_read}});
    std::printf("%-18s:", max_read);
    for (const size_t buffer : {size_t{4} << 10, size_t{128} << 10, size_t{1} << 20}) sequential(directory, buffer);
    std::printf("\n");
  }
  ::rmdir(directory.c_str());
}

}  // namespace
}  // namespace artifactfs

int main(int argc, char** argv) { artifactfs::run(argc > 1 ? argv[1] : "."); }
