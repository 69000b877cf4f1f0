// DelayProxy: a TCP proxy on loopback that makes a server look far away and can misbehave on command.
//
// Each byte is handed on rtt/2 after it came, in both directions, and a new connection's first bytes one rtt later
// still (the handshake that loopback does not show). Bandwidth is not limited; what is under way is, to
// kMaxInFlightBytes a direction and connection.
//
// One thread of its own runs everything; public functions may be called from any thread and take effect at once.
// An "answer" is what the server sends on one connection after the client last sent something.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

namespace artifactfs::test {

class DelayProxy {
 public:
  static constexpr uint64_t kMaxInFlightBytes = uint64_t{64} << 20;
  static constexpr uint32_t kAlways = std::numeric_limits<uint32_t>::max();

  struct Counters {
    uint64_t connections = 0;  // accepted so far
    uint64_t open = 0;         // now
    uint64_t bytes_to_server = 0;
    uint64_t bytes_to_client = 0;
  };

  /// Forwards 127.0.0.1:`listen_port` (0: a free one) to `target_host` (an IPv4 address or "localhost"). Throws
  /// std::runtime_error when it cannot listen.
  DelayProxy(std::string target_host, uint16_t target_port, std::chrono::microseconds rtt = {},
             uint16_t listen_port = 0);
  ~DelayProxy();
  DelayProxy(const DelayProxy&) = delete;
  DelayProxy& operator=(const DelayProxy&) = delete;

  uint16_t port() const;
  Counters counters() const;

  void set_rtt(std::chrono::microseconds rtt);
  /// Accepts and forwards, but holds back all answers until switched off again.
  void set_hang(bool on);
  /// Breaks the connection (RST) once `bytes` bytes of an answer have been handed on, for the next `times` answers
  /// that are as long; times 0 switches it off.
  void cut_answers_after(uint64_t bytes, uint32_t times = kAlways);
  /// Inverts the byte at `offset` of an answer, for the next `times` answers that are as long.
  void corrupt_answers_at(uint64_t offset, uint32_t times = kAlways);
  /// Closes the listening socket, so that clients get ECONNREFUSED; open connections go on.
  void set_refuse(bool on);
  /// Breaks every open connection (RST).
  void drop_connections();

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace artifactfs::test
