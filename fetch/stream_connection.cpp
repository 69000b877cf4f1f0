#include "fetch/stream_connection.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/log.h"

namespace artifactfs {

namespace {

Error cancelled_error() { return {ErrorCode::cancelled, "cannot fetch", "the request was cancelled"}; }

void set_nonblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

struct AddressListDeleter {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

// write(2) without SIGPIPE, also for pipes, where no flag can ask for it.
ssize_t quiet_write(int fd, bool is_socket, std::string_view bytes) {
  if (is_socket) return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  sigset_t pipe_signal, previous, pending;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  sigpending(&pending);
  const bool was_pending = sigismember(&pending, SIGPIPE) == 1;
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &previous);
  const ssize_t n = ::write(fd, bytes.data(), bytes.size());
  const int error = errno;
  if (n < 0 && error == EPIPE && !was_pending) {
    const timespec now{0, 0};
    while (sigtimedwait(&pipe_signal, nullptr, &now) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  errno = error;
  return n;
}

}  // namespace

Result<std::unique_ptr<Wakeup>> Wakeup::make() {
  auto wakeup = std::make_unique<Wakeup>();
  wakeup->fd_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wakeup->fd_) return fail_errno(errno, "cannot make an eventfd");
  return wakeup;
}

void Wakeup::set() noexcept {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(fd_.get(), &one, sizeof one);
}

bool Wakeup::is_set() const {
  pollfd readable{fd_.get(), POLLIN, 0};
  return ::poll(&readable, 1, 0) > 0;
}

Result<std::unique_ptr<StreamConnection>> StreamConnection::spawn(SubprocessOptions options) {
  options.pipe_stdin = options.pipe_stdout = options.pipe_stderr = true;
  TRY_ASSIGN(Subprocess child, Subprocess::start(options));
  std::unique_ptr<StreamConnection> connection(new StreamConnection);
  connection->child_ = std::move(child);
  connection->complaint_ended_ = false;
  for (const int fd :
       {connection->child_->stdin_fd(), connection->child_->stdout_fd(), connection->child_->stderr_fd()}) {
    set_nonblocking(fd);
  }
  return connection;
}

Result<std::unique_ptr<StreamConnection>> StreamConnection::connect(const std::string& host, uint16_t port,
                                                                    Deadline deadline, const Wakeup& wakeup) {
  const std::string sentence = "cannot connect to '" + host + "'";
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) {
    return fail(ErrorCode::unavailable, sentence, std::string("its name cannot be resolved: ") + ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, AddressListDeleter> addresses(found);
  Error last{ErrorCode::unavailable, sentence, "it has no address"};
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
    std::unique_ptr<StreamConnection> connection(new StreamConnection);
    connection->socket_.reset(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int fd = connection->socket_.get();
    if (fd < 0) continue;
    int failure = ::connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (failure == EINPROGRESS) {
      TRY_ASSIGN(const bool done, connection->wait(fd, POLLOUT, deadline, wakeup));
      if (!done) return fail(ErrorCode::timeout, sentence, "no answer in time");
      socklen_t size = sizeof failure;
      ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
    }
    if (failure == 0) {
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
      return connection;
    }
    last = errno_error(failure, sentence);
    last.code = ErrorCode::unavailable;
  }
  return fail(std::move(last));
}

Result<bool> StreamConnection::wait(int fd, short events, Deadline deadline, const Wakeup& wakeup) {
  for (;;) {
    std::array<pollfd, 3> fds = {pollfd{fd, events, 0}, pollfd{wakeup.fd(), POLLIN, 0},
                                 pollfd{complaint_ended_ ? -1 : child_->stderr_fd(), POLLIN, 0}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::system().now()).count();
    const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000)));
    if (ready < 0 && errno != EINTR) return fail_errno(errno, "cannot wait for a connection");
    if (fds[1].revents != 0) return fail(cancelled_error());
    if (fds[2].revents != 0) take_complaint();
    if (fds[0].revents != 0) return true;
    if (left <= 0) return false;
  }
}

Result<void> StreamConnection::write(std::string_view bytes, Duration stall, const Wakeup& wakeup) {
  while (!bytes.empty()) {
    TRY_ASSIGN(const bool ready, wait(out_fd(), POLLOUT, Clock::system().now() + stall, wakeup));
    if (!ready) return fail(ErrorCode::timeout, "cannot send a request", "the server does not take it");
    const ssize_t n = quiet_write(out_fd(), !child_, bytes);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
      return fail(ErrorCode::unavailable, "cannot send a request", "the connection is broken");
    }
    if (n > 0) bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<size_t> StreamConnection::read(std::span<std::byte> into, Duration stall, const Wakeup& wakeup) {
  for (;;) {
    // The child first: most reads find their bytes there already, and cost one system call.
    const ssize_t n = ::read(in_fd(), into.data(), into.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == ECONNRESET) return size_t{0};
    if (errno != EAGAIN && errno != EINTR) return fail_errno(errno, "cannot read an answer");
    TRY_ASSIGN(const bool ready, wait(in_fd(), POLLIN, Clock::system().now() + stall, wakeup));
    if (!ready) return fail(ErrorCode::timeout, "cannot read an answer", "the server stopped sending");
  }
}

bool StreamConnection::is_usable() const {
  pollfd readable{in_fd(), POLLIN, 0};
  return ::poll(&readable, 1, 0) == 0;
}

// False when there is nothing to take now.
bool StreamConnection::take_complaint() {
  char buffer[1024];
  const ssize_t n = ::read(child_->stderr_fd(), buffer, sizeof buffer);
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) complaint_ended_ = true;
  if (n <= 0) return false;
  complaint_.append(buffer, static_cast<size_t>(n));
  if (complaint_.size() > kMaxComplaintBytes) complaint_.erase(0, complaint_.size() - kMaxComplaintBytes);
  return true;
}

std::string StreamConnection::complaint() {
  const Deadline deadline = Clock::system().now() + kComplaintTimeout;
  while (!complaint_ended_) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::system().now()).count();
    pollfd readable{child_->stderr_fd(), POLLIN, 0};
    if (left <= 0 || ::poll(&readable, 1, static_cast<int>(left)) == 0) break;
    take_complaint();
  }
  std::string text;
  for (const char c : complaint_) {
    const bool is_break = c == '\n' || c == '\r';
    if (is_break && !text.empty() && !text.ends_with("; ")) text += "; ";
    if (!is_break && static_cast<unsigned char>(c) >= 0x20) text += c;
  }
  while (text.ends_with(' ') || text.ends_with(';')) text.pop_back();
  return log::redact(text);
}

void StreamConnection::close_sending() {
  if (child_) {
    child_->close_stdin();
  } else {
    ::shutdown(socket_.get(), SHUT_WR);
  }
}

}  // namespace artifactfs
