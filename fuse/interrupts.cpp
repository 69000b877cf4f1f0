#include "fuse/interrupts.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <optional>
#include <utility>

#include "base/unique_fd.h"
#include "base/worker_pool.h"

namespace artifactfs {

namespace {

constexpr Duration kLookInterval = std::chrono::milliseconds(20);
// Looking at one thread costs some 10 us; with thousands on the list the pause grows, so that the watcher never takes
// more than a tenth of a processor.
constexpr int kPausePerLook = 10;

constexpr uint64_t signal_bit(int signal) { return uint64_t{1} << (signal - 1); }

// signal(7): everything else ends the process, real-time signals included.
constexpr uint64_t kHarmlessByDefault = signal_bit(SIGCHLD) | signal_bit(SIGURG) | signal_bit(SIGWINCH) |
                                        signal_bit(SIGCONT) | signal_bit(SIGSTOP) | signal_bit(SIGTSTP) |
                                        signal_bit(SIGTTIN) | signal_bit(SIGTTOU);

// The value of a line "Name:\t<value>", or nothing.
std::string_view field(std::string_view status, std::string_view name) {
  size_t at = 0;
  while (at < status.size()) {
    const size_t end = std::min(status.find('\n', at), status.size());
    std::string_view line = status.substr(at, end - at);
    if (line.starts_with(name) && line.substr(name.size()).starts_with(":\t")) return line.substr(name.size() + 2);
    at = end + 1;
  }
  return {};
}

uint64_t signal_set(std::string_view status, std::string_view name) {
  const std::string_view digits = field(status, name);
  uint64_t set = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), set, 16);
  return set;
}

}  // namespace

bool status_says_dying(std::string_view status) {
  const std::string_view state = field(status, "State");
  if (state.starts_with('Z') || state.starts_with('X')) return true;
  const uint64_t pending = signal_set(status, "SigPnd") | signal_set(status, "ShdPnd");
  // A signal that kills a whole process is turned into a SIGKILL of each thread at once, but for those that dump core.
  if (pending & signal_bit(SIGKILL)) return true;
  const uint64_t handled =
      signal_set(status, "SigBlk") | signal_set(status, "SigIgn") | signal_set(status, "SigCgt") | kHarmlessByDefault;
  return (pending & ~handled) != 0;
}

bool thread_is_dying(pid_t thread) {
  if (thread == 0) return true;
  std::array<char, 32> path;
  std::snprintf(path.data(), path.size(), "/proc/%d/status", thread);
  const UniqueFd fd(::open(path.data(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno != EMFILE && errno != ENFILE && errno != ENOMEM;
  std::array<char, 8192> text;
  const ssize_t size = ::read(fd.get(), text.data(), text.size());
  if (size < 0) return errno == ESRCH;
  return status_says_dying({text.data(), static_cast<size_t>(size)});
}

InterruptWatcher::InterruptWatcher(ParkedReplies& replies) : replies_(replies) {
  thread_ = std::thread([this] {
    set_thread_name("fuse-interrupt");
    run();
  });
}

InterruptWatcher::~InterruptWatcher() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  news_.notify_one();
  thread_.join();
}

void InterruptWatcher::watch(uint64_t id) {
  {
    MutexLock lock(mutex_);
    noted_.push_back(id);
  }
  news_.notify_one();
}

void InterruptWatcher::run() {
  std::vector<uint64_t> watched;
  TimePoint next_look{};
  while (true) {
    std::vector<uint64_t> fresh;
    {
      MutexLock lock(mutex_);
      while (!stopping_ && noted_.empty()) {
        if (watched.empty()) {
          news_.wait(lock);
        } else if (!news_.wait_until(lock, next_look)) {
          break;
        }
      }
      if (stopping_) return;
      fresh = std::exchange(noted_, {});
    }
    look(fresh);
    const TimePoint begin = Clock::system().now();
    if (begin >= next_look) {
      look(watched);
      const TimePoint end = Clock::system().now();
      next_look = end + std::max(kLookInterval, (end - begin) * kPausePerLook);
    }
    watched.insert(watched.end(), fresh.begin(), fresh.end());
  }
}

void InterruptWatcher::look(std::vector<uint64_t>& watched) {
  std::erase_if(watched, [this](uint64_t id) {
    const std::optional<pid_t> thread = replies_.waiting_thread(id);
    if (!thread) return true;
    if (!thread_is_dying(*thread)) return false;
    replies_.abandon(id, EINTR);
    return true;
  });
}

}  // namespace artifactfs
