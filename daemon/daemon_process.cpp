#include "daemon/daemon_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "base/log.h"
#include "daemon/control_server.h"
#include "daemon/mount_table.h"
#include "daemon/state_directory.h"

namespace artifactfs {

namespace {

// Whoever started the daemon has so long to ask it something.
constexpr auto kFirstClientGrace = std::chrono::seconds(10);

void tell_starter(UniqueFd& ready, std::string_view line) {
  if (!ready) return;
  const std::string text = std::string(line) + "\n";
  // A starter that went away needs no answer.
  [[maybe_unused]] const auto ignored = write_all(ready.get(), std::as_bytes(std::span(text)));
  ready.reset();
}

/// SIGTERM and SIGINT, and wake-ups from other threads, as something to wait for. Made before any thread, so that all
/// inherit the blocked signals.
class Events {
 public:
  static Result<Events> make() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGHUP, SIG_IGN);
    Events events;
    events.signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC));
    events.wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!events.signals_ || !events.wake_) return fail_errno(errno, "cannot wait for signals");
    return events;
  }

  void wake() const {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t ignored = ::write(wake_.get(), &one, sizeof one);
  }

  /// The signal that arrived, or 0 after a wake-up or at the deadline.
  int wait(std::optional<Deadline> deadline) const {
    int timeout_ms = -1;
    if (deadline) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - Clock::system().now());
      timeout_ms = static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
    }
    std::array<pollfd, 2> fds = {pollfd{signals_.get(), POLLIN, 0}, pollfd{wake_.get(), POLLIN, 0}};
    if (::poll(fds.data(), fds.size(), timeout_ms) <= 0) return 0;
    uint64_t count = 0;
    if (fds[1].revents != 0) [[maybe_unused]]
      const ssize_t ignored = ::read(wake_.get(), &count, sizeof count);
    signalfd_siginfo info{};
    if (fds[0].revents == 0 || ::read(signals_.get(), &info, sizeof info) != sizeof info) return 0;
    return static_cast<int>(info.ssi_signo);
  }

 private:
  UniqueFd signals_, wake_;
};

/// The wait for the end of a daemon that serves many mounts.
void serve_until_signal(const Events& events, const MountTable& table, const ControlServer& server,
                        std::optional<Duration> idle_exit) {
  bool announced = false;
  bool had_client = false;
  std::optional<Deadline> idle_since_deadline;
  for (;;) {
    if (!announced && !table.recovering()) {
      ::sd_notify(0, "READY=1");
      announced = true;
    }
    const bool idle = idle_exit && table.active() == 0 && server.busy() == 0;
    if (!idle) idle_since_deadline.reset();
    if (idle && server.served() > 0 && !had_client) {
      had_client = true;
      idle_since_deadline.reset();
    }
    if (idle && !idle_since_deadline) {
      idle_since_deadline =
          Clock::system().now() + (had_client ? *idle_exit : std::max<Duration>(*idle_exit, kFirstClientGrace));
    }
    if (idle_since_deadline && Clock::system().now() >= *idle_since_deadline) {
      log::info("no mounts are left; ending");
      return;
    }
    if (const int signal = events.wait(idle_since_deadline); signal != 0) {
      log::info("ending (signal {})", signal);
      return;
    }
  }
}

/// Mounts on a thread, so that a signal can cancel it, and serves until it is gone or a signal comes.
Result<void> serve_foreground(const Events& events, MountTable& table, const control::MountRequest& request) {
  Cancellation cancellation;
  std::atomic<bool> done = false;
  Result<control::MountStatus> status = fail(ErrorCode::cancelled, "");
  std::thread mounter([&] {
    const bool show = ::isatty(STDERR_FILENO) != 0;
    status = table.mount(
        request, MountTable::Recovery::no,
        [show](const std::string& line) {
          if (show) log::info("{}", line);
        },
        cancellation);
    done = true;
    events.wake();
  });
  int signal = 0;
  while (!done && signal == 0) signal = events.wait(std::nullopt);
  if (signal != 0) cancellation.cancel();
  mounter.join();
  if (!status) {
    if (signal != 0) return {};
    return fail(status.error());
  }
  ::sd_notify(0, "READY=1");
  while (signal == 0 && table.active() > 0) signal = events.wait(std::nullopt);
  return {};
}

Result<void> serve(DaemonOptions& options, Rooms rooms, const StateDirectory& state, const Events& events) {
  TRY_ASSIGN(UniqueFd listening, control::listen_for_clients(state.root()));
  const auto wake = [&events] { events.wake(); };
  MountTable table(state, std::move(rooms), wake);
  // Before the first client, whose new mount must not be taken for one to bring back.
  if (options.recovery && !options.foreground_mount) table.start_recovery();
  ControlServer server(std::move(listening), table, wake);
  tell_starter(options.ready, "ready");
  Result<void> result;
  if (options.foreground_mount) {
    result = serve_foreground(events, table, *options.foreground_mount);
  } else {
    log::info("artifactfs {} serves '{}'", ARTIFACTFS_VERSION, state.root().string());
    serve_until_signal(events, table, server, options.idle_exit);
  }
  ::sd_notify(0, "STOPPING=1");
  // Newcomers find no daemon and start one, which waits for the lock; requests under way are cut short.
  ::unlink((state.root() / control::kSocketName).c_str());
  table.shutdown();
  return result;
}

}  // namespace

Result<void> run_daemon(DaemonOptions options, Rooms rooms) {
  TRY_ASSIGN(const Events events, Events::make());
  auto state = StateDirectory::open(options.state_root);
  if (!state) {
    // Two that start at once are no error: whoever started this one talks to the other.
    tell_starter(options.ready, state.error().code == ErrorCode::busy ? "busy" : state.error().text());
    return fail(state.error());
  }
  auto result = [&]() -> Result<void> {
    if (options.idle_exit) TRY(state->redirect_output_to_log());
    return serve(options, std::move(rooms), *state, events);
  }();
  if (!result) tell_starter(options.ready, result.error().text());
  return result;
}

}  // namespace artifactfs
