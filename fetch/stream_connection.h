// StreamConnection: a two-way byte stream to a git-upload-pack that keeps state: a child's pipes (ssh, local) or a
// socket (git://). Everything that blocks can be ended by a Wakeup.
//
// Not thread-safe: one thread uses a connection at a time. Wakeup::set() may be called by any.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/subprocess.h"
#include "base/unique_fd.h"

namespace artifactfs {

/// A sticky signal that poll(2) can wait for.
class Wakeup {
 public:
  static Result<std::unique_ptr<Wakeup>> make();
  void set() noexcept;
  bool is_set() const;
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

class StreamConnection {
 public:
  static constexpr size_t kMaxComplaintBytes = 4096;  // of a child's stderr, its end is kept
  static constexpr std::chrono::milliseconds kComplaintTimeout{300};

  /// Starts a child whose standard input and output are the stream.
  static Result<std::unique_ptr<StreamConnection>> spawn(SubprocessOptions options);
  /// Connects to host:port, trying every address that the name has. (Resolving the name cannot be woken.)
  static Result<std::unique_ptr<StreamConnection>> connect(const std::string& host, uint16_t port, Deadline deadline,
                                                           const Wakeup& wakeup);

  /// Writes all of it; fails with timeout when nothing could be written for `stall`.
  Result<void> write(std::string_view bytes, Duration stall, const Wakeup& wakeup);
  /// At least one byte, or 0 when the peer has closed; fails with timeout when nothing comes for `stall`.
  Result<size_t> read(std::span<std::byte> into, Duration stall, const Wakeup& wakeup);
  /// False when an idle connection has been closed by the peer, or talks unasked.
  bool is_usable() const;
  /// What the child wrote to its standard error so far, or until it ends; empty for a socket. Redacted.
  std::string complaint();
  /// Shows the connection's end to the peer without waiting.
  void close_sending();

  std::string advertisement;  // what a v2 server said first, flush included
  TimePoint idle_since{};

 private:
  StreamConnection() = default;
  int in_fd() const { return child_ ? child_->stdout_fd() : socket_.get(); }
  int out_fd() const { return child_ ? child_->stdin_fd() : socket_.get(); }
  /// True when `fd` is ready, false when `deadline` passed; takes in standard error meanwhile.
  Result<bool> wait(int fd, short events, Deadline deadline, const Wakeup& wakeup);
  bool take_complaint();

  std::optional<Subprocess> child_;
  UniqueFd socket_;
  std::string complaint_;
  bool complaint_ended_ = true;
};

}  // namespace artifactfs
