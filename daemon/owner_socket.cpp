#include "daemon/owner_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/worker_pool.h"

namespace artifactfs {

namespace {

constexpr int kBacklog = 16;

// Bound by the directory's descriptor (its path may be longer than a socket's may be), and given its owner and mode
// before anybody can connect.
Result<UniqueFd> listen_in(int directory, const std::string& name, const UserIds& owner) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "cannot make a socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(directory) + "/" + name;
  if (path.size() >= sizeof address.sun_path) {
    return fail(ErrorCode::name_too_long, "cannot listen on '" + name + "'", "the name is too long");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ::unlinkat(directory, name.c_str(), 0);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::fchmodat(directory, name.c_str(), 0600, 0) != 0 ||
      (::geteuid() == 0 && ::fchownat(directory, name.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) != 0) ||
      ::listen(fd.get(), kBacklog) != 0) {
    return fail_errno(errno, "cannot listen on '" + name + "'");
  }
  return fd;
}

}  // namespace

Result<std::unique_ptr<OwnerSocket>> OwnerSocket::start(const OwnerSocketOptions& options, Answer answer) {
  TRY_ASSIGN(UniqueFd directory, open_file(options.directory, O_PATH | O_DIRECTORY));
  TRY_ASSIGN(UniqueFd listener, listen_in(directory.get(), options.name, options.owner));
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop) return fail_errno(errno, "cannot make an eventfd");
  return std::unique_ptr<OwnerSocket>(
      new OwnerSocket(options, std::move(answer), std::move(directory), std::move(listener), std::move(stop)));
}

OwnerSocket::OwnerSocket(const OwnerSocketOptions& options, Answer answer, UniqueFd directory, UniqueFd listener,
                         UniqueFd stop)
    : options_(options),
      answer_(std::move(answer)),
      directory_(std::move(directory)),
      listener_(std::move(listener)),
      stop_(std::move(stop)),
      thread_([this] {
        set_thread_name(options_.name);
        serve();
      }) {}

OwnerSocket::~OwnerSocket() {
  ::unlinkat(directory_.get(), options_.name.c_str(), 0);
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void OwnerSocket::serve() {
  while (wait_for(listener_.get(), POLLIN, Deadline::max())) {
    const UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client && is_allowed(client.get())) answer(client.get());
  }
}

// The socket's mode says the same; but a directory can be mounted or copied elsewhere, and a descriptor passed on.
bool OwnerSocket::is_allowed(int client) const {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  if (peer.uid == 0 || peer.uid == options_.owner.uid) return true;
  log::warning("'{}': user {} is not answered", (options_.directory / options_.name).string(), peer.uid);
  return false;
}

void OwnerSocket::answer(int client) {
  const Deadline deadline = Clock::system().now() + options_.timeout;
  std::string question(options_.question_bytes + 1, '\0');
  size_t size = 0;
  for (;;) {
    if (size == question.size() || !wait_for(client, POLLIN, deadline)) return;
    const ssize_t n = ::read(client, question.data() + size, question.size() - size);
    if (n == 0) break;
    if (n > 0) size += static_cast<size_t>(n);
    if (n < 0 && errno != EINTR && errno != EAGAIN) return;
  }
  question.resize(size);
  send(client, answer_(question), deadline);
}

bool OwnerSocket::wait_for(int fd, short events, Deadline deadline) const {
  for (;;) {
    int timeout_ms = -1;
    if (deadline != Deadline::max()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::system().now()).count();
      if (left <= 0) return false;
      timeout_ms = static_cast<int>(left);
    }
    pollfd polled[2] = {{fd, events, 0}, {stop_.get(), POLLIN, 0}};
    const int ready = ::poll(polled, 2, timeout_ms);
    if (ready < 0 && errno != EINTR) return false;
    if (ready <= 0) continue;
    if (polled[1].revents != 0) return false;
    if (polled[0].revents != 0) return true;
  }
}

bool OwnerSocket::send(int client, std::string_view bytes, Deadline deadline) const {
  while (!bytes.empty()) {
    const ssize_t n = ::send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      if (!wait_for(client, POLLOUT, deadline)) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace artifactfs
