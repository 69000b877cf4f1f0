#include "tests/integration/fuse_write/side_by_side.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <vector>

namespace artifactfs::test {

namespace {

bool operator<(const timespec& a, const timespec& b) {
  return std::tie(a.tv_sec, a.tv_nsec) < std::tie(b.tv_sec, b.tv_nsec);
}

const char* relation(const timespec& before, const timespec& after) {
  if (before < after) return ">";
  return after < before ? "<" : "=";
}

timespec tick() {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return now;
}

}  // namespace

std::string said(ssize_t result) {
  if (result > 0) return std::to_string(result);
  return result == 0 ? "ok" : ::strerrorname_np(errno);
}

std::string look(const struct stat& st, bool with_blocks) {
  std::string text = fmt::format("{:o} links {} owner {}:{} size {} device {}:{}", st.st_mode, st.st_nlink, st.st_uid,
                                 st.st_gid, st.st_size, major(st.st_rdev), minor(st.st_rdev));
  if (with_blocks && S_ISREG(st.st_mode)) text += fmt::format(" blocks {}", st.st_blocks);
  return text;
}

std::string look(const std::string& path, bool with_blocks) {
  struct stat st;
  if (::lstat(path.c_str(), &st) != 0) return said(-1);
  return look(st, with_blocks);
}

std::string content(const std::string& path) {
  const UniqueFd fd = open_at(path, O_RDONLY);
  if (!fd) return said(-1);
  std::string text;
  std::array<char, 65536> buffer;
  ssize_t n;
  while ((n = ::read(fd.get(), buffer.data(), buffer.size())) > 0) text.append(buffer.data(), static_cast<size_t>(n));
  return n < 0 ? said(-1) : text;
}

std::string names(const std::string& path) {
  std::vector<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(path)) all.push_back(entry.path().filename());
  std::sort(all.begin(), all.end());
  std::string text;
  for (const auto& name : all) {
    if (name != ".git") text += name + " ";
  }
  return text;
}

UniqueFd open_at(const std::string& path, int flags, mode_t mode) {
  return UniqueFd(::open(path.c_str(), flags | O_CLOEXEC, mode));
}

std::string in_child(const std::function<std::string()>& child, std::optional<uid_t> user) {
  std::array<int, 2> pipe;
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return "no pipe";
  UniqueFd from(pipe[0]), to(pipe[1]);
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (user && ::setresgid(*user, *user, *user) + ::setresuid(*user, *user, *user) != 0) ::_exit(1);
    const std::string text = child();
    ::_exit(::write(to.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  to.reset();
  std::string text;
  std::array<char, 4096> buffer;
  ssize_t n;
  while ((n = ::read(from.get(), buffer.data(), buffer.size())) > 0) text.append(buffer.data(), static_cast<size_t>(n));
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status == 0 ? text : "the child failed";
}

void next_tick() {
  for (int ticks = 0; ticks < 2; ++ticks) {
    const timespec start = tick();
    while (!(start < tick())) ::usleep(500);
  }
}

std::string times_around(const std::string& path, const std::function<void()>& change) {
  const std::string parent = std::filesystem::path(path).parent_path();
  struct stat before {
  }, after{}, parent_before{}, parent_after{};
  ::lstat(path.c_str(), &before);
  ::stat(parent.c_str(), &parent_before);
  next_tick();
  change();
  const bool there = ::lstat(path.c_str(), &after) == 0;
  ::stat(parent.c_str(), &parent_after);
  std::string text = fmt::format("parent{}{}", relation(parent_before.st_mtim, parent_after.st_mtim),
                                 relation(parent_before.st_ctim, parent_after.st_ctim));
  if (!there) return text;
  return fmt::format("mtime{} ctime{} {}", relation(before.st_mtim, after.st_mtim),
                     relation(before.st_ctim, after.st_ctim), text);
}

void SideBySide::SetUp() {
  if (!open_at("/dev/fuse", O_RDWR)) GTEST_SKIP() << "/dev/fuse cannot be opened here";
  ::umask(0022);
  ASSERT_EQ(0, ::chmod(directory_.path().c_str(), 0755));
  ASSERT_EQ(0, ::mkdir(root().c_str(), 0755));
  ASSERT_EQ(0, ::mkdir(plain().c_str(), 0755));
  write_model_base(plain());
  mount();
}

void SideBySide::TearDown() { unmount(); }

void SideBySide::mount(bool read_only) {
  workdir_ = base_.open();
  auto session = FuseSession::mount(root(), {.source = "test", .read_only = read_only, .allow_other = ::geteuid() == 0},
                                    *workdir_, nullptr);
  ASSERT_TRUE(session) << session.error().text();
  session_ = std::move(*session);
}

void SideBySide::unmount() {
  session_.reset();
  workdir_.reset();
}

void SideBySide::same(const std::function<std::string(const std::string& root)>& operation) {
  const std::string expected = operation(plain());
  EXPECT_EQ(expected, operation(root()));
}

void SideBySide::skip_unless_root() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
}

}  // namespace artifactfs::test
