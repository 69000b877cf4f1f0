#include "daemon/fsmonitor_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/fsmonitor_protocol.h"
#include "base/log.h"
#include "base/worker_pool.h"

namespace artifactfs {

namespace {

constexpr int kBacklog = 16;

std::string bytes_of(const FsmonitorReply& reply) { return {reinterpret_cast<const char*>(&reply), sizeof reply}; }

// Bound by the directory's descriptor (its path may be longer than a socket's may be), and given its owner and mode
// before anybody can connect.
Result<UniqueFd> listen_in(int directory, const UserIds& owner) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "cannot make a socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(directory) + "/" + kFsmonitorSocketName;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ::unlinkat(directory, kFsmonitorSocketName, 0);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::fchmodat(directory, kFsmonitorSocketName, 0600, 0) != 0 ||
      (::geteuid() == 0 && ::fchownat(directory, kFsmonitorSocketName, owner.uid, owner.gid, 0) != 0) ||
      ::listen(fd.get(), kBacklog) != 0) {
    return fail_errno(errno, std::string("cannot listen on '") + kFsmonitorSocketName + "'");
  }
  return fd;
}

}  // namespace

Result<std::unique_ptr<FsmonitorServer>> FsmonitorServer::start(const FsmonitorMount& mount, ChangeSource source) {
  TRY_ASSIGN(UniqueFd directory, open_file(mount.directory, O_PATH | O_DIRECTORY));
  TRY_ASSIGN(UniqueFd listener, listen_in(directory.get(), mount.owner));
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop) return fail_errno(errno, "cannot make an eventfd");
  return std::unique_ptr<FsmonitorServer>(
      new FsmonitorServer(mount, std::move(source), std::move(directory), std::move(listener), std::move(stop)));
}

FsmonitorServer::FsmonitorServer(const FsmonitorMount& mount, ChangeSource source, UniqueFd directory,
                                 UniqueFd listener, UniqueFd stop)
    : mount_(mount),
      source_(std::move(source)),
      directory_(std::move(directory)),
      listener_(std::move(listener)),
      stop_(std::move(stop)),
      thread_([this] {
        set_thread_name("fsmonitor");
        serve();
      }) {}

FsmonitorServer::~FsmonitorServer() {
  ::unlinkat(directory_.get(), kFsmonitorSocketName, 0);
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void FsmonitorServer::serve() {
  while (wait_for(listener_.get(), POLLIN, Deadline::max())) {
    const UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client) answer(client.get());
  }
}

void FsmonitorServer::answer(int client) {
  const Deadline deadline = Clock::system().now() + std::chrono::seconds(kFsmonitorTimeoutSeconds);
  std::string token(kFsmonitorMaxTokenBytes + 1, '\0');
  size_t size = 0;
  for (;;) {
    if (size == token.size() || !wait_for(client, POLLIN, deadline)) return;
    const ssize_t n = ::read(client, token.data() + size, token.size() - size);
    if (n == 0) break;
    if (n > 0) size += static_cast<size_t>(n);
    if (n < 0 && errno != EINTR && errno != EAGAIN) return;
  }
  token.resize(size);
  const std::string body = body_for(token);
  FsmonitorReply reply;
  reply.device = mount_.device;
  reply.inode = mount_.root_inode;
  reply.body_bytes = body.size();
  if (send(client, bytes_of(reply), deadline)) send(client, body, deadline);
}

std::string FsmonitorServer::body_for(std::string_view token) {
  auto changes = source_(token);
  if (!changes) {
    log::warning("{}", changes.error().text());
    return {};  // the hook answers for us
  }
  std::string body = changes->token;
  body += '\0';
  const size_t bytes = [&] {
    size_t sum = body.size();
    for (const auto& path : changes->paths) sum += path.size() + 1;
    return sum;
  }();
  if (changes->everything || changes->paths.size() > kMaxPaths || bytes > kFsmonitorMaxBodyBytes) {
    body.append("/") += '\0';
    return body;
  }
  body.reserve(bytes);
  for (const auto& path : changes->paths) body.append(path) += '\0';
  return body;
}

bool FsmonitorServer::wait_for(int fd, short events, Deadline deadline) const {
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

bool FsmonitorServer::send(int client, std::string_view bytes, Deadline deadline) const {
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
