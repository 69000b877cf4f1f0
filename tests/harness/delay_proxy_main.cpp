// delay_proxy --listen PORT --target HOST:PORT --rtt MS: DelayProxy as a program, for measurements. Prints the port
// that it listens on (0 picks one) and runs until SIGTERM or SIGINT.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <stdexcept>

#include "tests/harness/delay_proxy.h"

int main(int argc, char** argv) {
  CLI::App app{"Delays a TCP connection by a round-trip time"};
  uint16_t listen_port = 0;
  std::string target;
  double rtt_ms = 40;
  app.add_option("--listen", listen_port, "port on 127.0.0.1; 0 picks one");
  app.add_option("--target", target, "HOST:PORT")->required();
  app.add_option("--rtt", rtt_ms, "round-trip time in milliseconds");
  CLI11_PARSE(app, argc, argv);

  // Blocked before the proxy's thread starts, so that only sigwait() sees them.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  try {
    const size_t colon = target.rfind(':');
    if (colon == std::string::npos) throw std::runtime_error("--target wants HOST:PORT");
    const artifactfs::test::DelayProxy proxy(
        target.substr(0, colon), static_cast<uint16_t>(std::stoul(target.substr(colon + 1))),
        std::chrono::microseconds(static_cast<int64_t>(rtt_ms * 1000)), listen_port);
    std::printf("%u\n", proxy.port());
    std::fflush(stdout);
    int signum = 0;
    sigwait(&ends, &signum);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "delay_proxy: %s\n", error.what());
    return 1;
  }
  return 0;
}
