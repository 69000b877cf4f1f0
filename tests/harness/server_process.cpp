#include "tests/harness/server_process.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace artifactfs::test {

namespace {

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

bool has_exited(pid_t pid) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

}  // namespace

uint16_t free_port() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("cannot find a free port");
  }
  return ntohs(address.sin_port);
}

bool accepts_connections(uint16_t port) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool accepts_connections(const std::filesystem::path& unix_socket) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = unix_socket.string();
  if (name.size() >= sizeof address.sun_path) throw std::runtime_error("socket name too long: " + name);
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

ServerProcess::ServerProcess(std::vector<std::string> argv, const Environment& environment,
                             std::filesystem::path log_file, const std::function<bool()>& is_ready)
    : log_file_(std::move(log_file)) {
  const std::string name = argv.at(0);
  SubprocessOptions options;
  options.argv = {"setpriv", "--pdeathsig",     "TERM", "sh", "-c", R"(log=$1; shift; exec "$@" >>"$log" 2>&1)",
                  "sh",      log_file_.string()};
  options.argv.insert(options.argv.end(), argv.begin(), argv.end());
  options.environment = environment;
  auto child = Subprocess::start(options);
  if (!child) throw std::runtime_error(child.error().text());
  child_ = std::move(*child);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!is_ready()) {
    if (has_exited(child_->pid())) throw std::runtime_error(name + " ended at once: " + log());
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error(name + " does not get ready: " + log());
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

std::string ServerProcess::log() const { return read_file(log_file_).value_or(""); }

}  // namespace artifactfs::test
