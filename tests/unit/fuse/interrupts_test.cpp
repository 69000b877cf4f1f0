#include "fuse/interrupts.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace artifactfs {
namespace {

struct Signals {
  uint64_t thread = 0, process = 0, blocked = 0, ignored = 0, caught = 0;
};
uint64_t bit(int signal) { return uint64_t{1} << (signal - 1); }

// As fs/proc/array.c writes it.
std::string status(const Signals& signals, char state = 'S') {
  return fmt::format(
      "Name:\tSigPnd:\nUmask:\t0022\nState:\t{} (sleeping)\nTgid:\t12\nThreads:\t1\nSigQ:\t0/95567\n"
      "SigPnd:\t{:016x}\nShdPnd:\t{:016x}\nSigBlk:\t{:016x}\nSigIgn:\t{:016x}\nSigCgt:\t{:016x}\nCapInh:\t0\n",
      state, signals.thread, signals.process, signals.blocked, signals.ignored, signals.caught);
}

TEST(StatusSaysDying, NobodyWithoutPendingSignals) {
  EXPECT_FALSE(status_says_dying(status({})));
  EXPECT_FALSE(status_says_dying(status({.caught = ~uint64_t{0}})));
  EXPECT_FALSE(status_says_dying(""));
}

TEST(StatusSaysDying, SigkillOfThreadOrProcess) {
  EXPECT_TRUE(status_says_dying(status({.thread = bit(SIGKILL)})));
  EXPECT_TRUE(status_says_dying(status({.process = bit(SIGKILL)})));
  EXPECT_TRUE(status_says_dying(status({.thread = bit(SIGKILL) | bit(SIGALRM), .caught = bit(SIGALRM)})));
}

TEST(StatusSaysDying, DeadOnes) {
  EXPECT_TRUE(status_says_dying(status({}, 'Z')));
  EXPECT_TRUE(status_says_dying(status({}, 'X')));
  EXPECT_FALSE(status_says_dying(status({}, 'D')));
  EXPECT_FALSE(status_says_dying(status({}, 'T')));
}

TEST(StatusSaysDying, FatalSignalsUnlessBlockedCaughtOrIgnored) {
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM, SIGPIPE, SIGUSR1, SIGSEGV, SIGRTMAX}) {
    EXPECT_TRUE(status_says_dying(status({.process = bit(signal)}))) << signal;
    EXPECT_FALSE(status_says_dying(status({.process = bit(signal), .blocked = bit(signal)}))) << signal;
    EXPECT_FALSE(status_says_dying(status({.process = bit(signal), .caught = bit(signal)}))) << signal;
    EXPECT_FALSE(status_says_dying(status({.process = bit(signal), .ignored = bit(signal)}))) << signal;
    EXPECT_TRUE(status_says_dying(status({.process = bit(signal), .caught = bit(SIGCHLD)}))) << signal;
  }
}

TEST(StatusSaysDying, SignalsThatDoNotKill) {
  for (const int signal : {SIGCHLD, SIGURG, SIGWINCH, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU}) {
    EXPECT_FALSE(status_says_dying(status({.process = bit(signal)}))) << signal;
  }
}

TEST(ThreadIsDying, Ourselves) { EXPECT_FALSE(thread_is_dying(::gettid())); }

TEST(ThreadIsDying, OneOfAnotherPidNamespace) { EXPECT_TRUE(thread_is_dying(0)); }

TEST(ThreadIsDying, OneThatIsGone) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(thread_is_dying(child));
}

}  // namespace
}  // namespace artifactfs
