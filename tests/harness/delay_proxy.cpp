#include "tests/harness/delay_proxy.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <future>
#include <map>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/unique_fd.h"

namespace artifactfs::test {

namespace {

using SteadyClock = std::chrono::steady_clock;

struct Chunk {
  SteadyClock::time_point due;
  std::string bytes;  // empty: the end of the stream
  size_t sent = 0;
};

// One direction of a connection.
struct Flow {
  std::deque<Chunk> chunks;
  uint64_t bytes = 0;  // in chunks
  bool read_end = false;
  bool write_end = false;
};

struct Connection {
  UniqueFd client, server;
  bool server_connected = false;
  SteadyClock::time_point accepted;
  Flow to_server, to_client;
  uint64_t answer_seen = 0;  // bytes of the current answer read from the server
  uint64_t answer_sent = 0;  // ... and handed on
  bool cut_here = false;     // this answer has taken one of the cuts
  uint64_t cut_at = 0;
  bool broken = false;
};

struct Faults {
  std::chrono::microseconds rtt{};
  bool hang = false;
  bool refuse = false;
  uint64_t cut_after = 0;
  uint32_t cut_times = 0;
  uint64_t corrupt_at = 0;
  uint32_t corrupt_times = 0;
  bool drop = false;
  bool stop = false;
};

sockaddr_in address_of(const std::string& host, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (::inet_pton(AF_INET, host == "localhost" ? "127.0.0.1" : host.c_str(), &address.sin_addr) != 1) {
    throw std::runtime_error("not an IPv4 address: " + host);
  }
  return address;
}

void set_nodelay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void reset_on_close(int fd) {
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

}  // namespace

class DelayProxy::Loop {
 public:
  Loop(std::string target_host, uint16_t target_port, std::chrono::microseconds rtt, uint16_t listen_port)
      : target_(address_of(target_host, target_port)),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        port_(listen_port) {
    faults_.rtt = rtt;
    watch(wake_.get(), EPOLLIN);
    listen();
    thread_ = std::thread([this] { run(); });
  }

  ~Loop() {
    change([](Faults& faults) { faults.stop = true; });
    thread_.join();
  }

  // Returns when the loop has seen the change.
  void change(const std::function<void(Faults&)>& edit) {
    {
      MutexLock lock(mutex_);
      edit(faults_);
      ++generation_;
    }
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
    MutexLock lock(mutex_);
    const uint64_t wanted = generation_;
    while (seen_ < wanted) seen_changed_.wait(lock);
  }

  uint16_t port() const { return port_; }

  Counters counters() const {
    MutexLock lock(mutex_);
    return counters_;
  }

 private:
  void watch(int fd, uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }

  void listen() {
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address = address_of("127.0.0.1", port_);
    socklen_t size = sizeof address;
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_.get(), 256) != 0 ||
        ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error(std::string("the proxy cannot listen: ") + std::strerror(errno));
    }
    port_ = ntohs(address.sin_port);
    watch(listener_.get(), EPOLLIN);
  }

  void run() {
    for (;;) {
      std::array<epoll_event, 64> events;
      const timespec wait = time_to_next();
      const int n = ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()), &wait, nullptr);
      if (!take_changes()) return;
      for (int i = 0; i < n; ++i) {
        const int fd = events[static_cast<size_t>(i)].data.fd;
        if (fd == listener_.get()) accept_all();
        if (auto found = by_fd_.find(fd); found != by_fd_.end()) {
          handle(*found->second, fd, events[static_cast<size_t>(i)].events);
        }
      }
      pump_all();
    }
  }

  timespec time_to_next() const {
    auto next = SteadyClock::now() + std::chrono::seconds(3600);
    for (const auto& connection : connections_) {
      if (connection->server_connected && !connection->to_server.chunks.empty() && !blocked(*connection, false)) {
        next = std::min(next, connection->to_server.chunks.front().due);
      }
      if (!now_.hang && !connection->to_client.chunks.empty() && !blocked(*connection, true)) {
        next = std::min(next, connection->to_client.chunks.front().due);
      }
    }
    const auto left = std::max<int64_t>(0, std::chrono::nanoseconds(next - SteadyClock::now()).count());
    return {left / 1'000'000'000, left % 1'000'000'000};
  }

  // A destination whose socket buffer is full is waited for with EPOLLOUT instead.
  bool blocked(const Connection& connection, bool client) const {
    return blocked_.contains(client ? connection.client.get() : connection.server.get());
  }

  bool take_changes() {
    uint64_t drained = 0;
    [[maybe_unused]] const ssize_t n = ::read(wake_.get(), &drained, sizeof drained);
    MutexLock lock(mutex_);
    if (seen_ == generation_) return true;
    now_ = faults_;
    faults_.drop = false;
    if (now_.refuse && listener_) listener_.reset();
    if (!now_.refuse && !listener_ && !now_.stop) listen();
    if (now_.drop) {
      for (auto& connection : connections_) connection->broken = true;
      remove_broken();
      counters_.open = 0;
    }
    seen_ = generation_;
    seen_changed_.notify_all();
    return !now_.stop;
  }

  void accept_all() {
    for (;;) {
      UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!client) return;
      auto connection = std::make_unique<Connection>();
      connection->server.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      connection->accepted = SteadyClock::now();
      set_nodelay(client.get());
      set_nodelay(connection->server.get());
      connection->client = std::move(client);
      if (::connect(connection->server.get(), reinterpret_cast<const sockaddr*>(&target_), sizeof target_) != 0 &&
          errno != EINPROGRESS) {
        reset_on_close(connection->client.get());
        continue;
      }
      by_fd_[connection->client.get()] = connection.get();
      by_fd_[connection->server.get()] = connection.get();
      watch(connection->client.get(), EPOLLIN);
      watch(connection->server.get(), EPOLLOUT);
      connections_.push_back(std::move(connection));
      MutexLock lock(mutex_);
      ++counters_.connections;
      ++counters_.open;
    }
  }

  void handle(Connection& connection, int fd, uint32_t events) {
    const bool is_client = fd == connection.client.get();
    if ((events & EPOLLOUT) != 0) {
      if (!is_client) connection.server_connected = true;
      blocked_.erase(fd);
    }
    if ((events & EPOLLERR) != 0) connection.broken = true;
    if ((events & (EPOLLIN | EPOLLHUP)) != 0) receive(connection, is_client);
  }

  void receive(Connection& connection, bool from_client) {
    Flow& flow = from_client ? connection.to_server : connection.to_client;
    const int fd = from_client ? connection.client.get() : connection.server.get();
    while (!flow.read_end && flow.bytes < kMaxInFlightBytes && !connection.broken) {
      buffer_.resize(size_t{256} << 10);
      const ssize_t n = ::read(fd, buffer_.data(), buffer_.size());
      if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) connection.broken = true;
        break;
      }
      auto due = SteadyClock::now() + now_.rtt / 2;
      if (from_client) due = std::max(due, connection.accepted + now_.rtt + now_.rtt / 2);
      if (n == 0) flow.read_end = true;
      Chunk chunk{due, buffer_.substr(0, static_cast<size_t>(n))};
      if (from_client && n > 0) {
        connection.answer_seen = connection.answer_sent = 0;
        connection.cut_here = false;
      } else if (n > 0) {
        spoil(connection, chunk.bytes);
      }
      flow.bytes += chunk.bytes.size();
      flow.chunks.push_back(std::move(chunk));
    }
  }

  // Applies the faults that concern the next `bytes` of the answer.
  void spoil(Connection& connection, std::string& bytes) {
    const uint64_t begin = connection.answer_seen, end = begin + bytes.size();
    connection.answer_seen = end;
    if (now_.corrupt_times > 0 && now_.corrupt_at >= begin && now_.corrupt_at < end) {
      bytes[now_.corrupt_at - begin] = static_cast<char>(~bytes[now_.corrupt_at - begin]);
      count_down(&Faults::corrupt_times);
    }
    if (now_.cut_times > 0 && !connection.cut_here && now_.cut_after >= begin && now_.cut_after < end) {
      connection.cut_here = true;
      connection.cut_at = now_.cut_after;
      count_down(&Faults::cut_times);
    }
  }

  void count_down(uint32_t Faults::*times) {
    MutexLock lock(mutex_);
    if (now_.*times == kAlways) return;
    --(now_.*times);
    faults_.*times = now_.*times;
  }

  void pump_all() {
    for (auto& connection : connections_) {
      if (connection->broken) continue;
      if (connection->server_connected) pump(*connection, true);
      if (!now_.hang) pump(*connection, false);
      update_watches(*connection);
      if (connection->to_server.write_end && connection->to_client.write_end) connection->broken = true;
    }
    remove_broken();
    MutexLock lock(mutex_);
    counters_.open = connections_.size();
  }

  // Hands on what is due in one direction.
  void pump(Connection& connection, bool to_server) {
    Flow& flow = to_server ? connection.to_server : connection.to_client;
    const int fd = to_server ? connection.server.get() : connection.client.get();
    if (blocked_.contains(fd)) return;
    const auto now = SteadyClock::now();
    while (!flow.chunks.empty() && flow.chunks.front().due <= now && !connection.broken) {
      Chunk& chunk = flow.chunks.front();
      if (chunk.bytes.empty()) {
        ::shutdown(fd, SHUT_WR);
        flow.write_end = true;
        flow.chunks.pop_front();
        continue;
      }
      size_t length = chunk.bytes.size() - chunk.sent;
      if (!to_server && connection.cut_here) length = std::min(length, connection.cut_at - connection.answer_sent);
      const ssize_t n = length == 0 ? 0 : ::send(fd, chunk.bytes.data() + chunk.sent, length, MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) {
        blocked_[fd] = true;
        return;
      }
      if (n < 0) {
        connection.broken = true;
        return;
      }
      account(connection, to_server, static_cast<uint64_t>(n));
      if (!to_server && connection.cut_here && connection.answer_sent == connection.cut_at) {
        // An orderly end after the bytes that were let through: an RST could overtake them.
        ::shutdown(fd, SHUT_WR);
        connection.broken = true;
        return;
      }
      chunk.sent += static_cast<size_t>(n);
      flow.bytes -= static_cast<uint64_t>(n);
      if (chunk.sent == chunk.bytes.size()) flow.chunks.pop_front();
    }
  }

  void account(Connection& connection, bool to_server, uint64_t bytes) {
    if (!to_server) connection.answer_sent += bytes;
    MutexLock lock(mutex_);
    (to_server ? counters_.bytes_to_server : counters_.bytes_to_client) += bytes;
  }

  void update_watches(const Connection& connection) const {
    auto events = [&](const Flow& incoming, int fd) {
      uint32_t wanted = 0;
      if (!incoming.read_end && incoming.bytes < kMaxInFlightBytes) wanted |= EPOLLIN;
      if (blocked_.contains(fd)) wanted |= EPOLLOUT;
      return wanted;
    };
    watch_or_forget(connection.client.get(), events(connection.to_server, connection.client.get()));
    uint32_t server_events = events(connection.to_client, connection.server.get());
    if (!connection.server_connected) server_events |= EPOLLOUT;
    watch_or_forget(connection.server.get(), server_events);
  }

  // epoll reports EPOLLHUP unasked; a socket of which nothing is wanted must not be in the set at all.
  void watch_or_forget(int fd, uint32_t events) const {
    if (events == 0) {
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    } else {
      watch(fd, events);
    }
  }

  void remove_broken() {
    std::erase_if(connections_, [this](const std::unique_ptr<Connection>& connection) {
      if (!connection->broken) return false;
      for (const int fd : {connection->client.get(), connection->server.get()}) {
        by_fd_.erase(fd);
        blocked_.erase(fd);
      }
      const bool orderly = connection->cut_here || connection->to_client.write_end;
      if (!orderly) reset_on_close(connection->client.get());
      return true;
    });
  }

  const sockaddr_in target_;
  const UniqueFd epoll_, wake_;
  uint16_t port_;

  // The loop's thread only.
  UniqueFd listener_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::map<int, Connection*> by_fd_;
  std::map<int, bool> blocked_;  // destinations whose socket buffer is full
  Faults now_;
  std::string buffer_;

  mutable Mutex mutex_;
  CondVar seen_changed_;
  Faults faults_ GUARDED_BY(mutex_);
  Counters counters_ GUARDED_BY(mutex_);
  uint64_t generation_ GUARDED_BY(mutex_) = 1;  // of faults_
  uint64_t seen_ GUARDED_BY(mutex_) = 0;        // the generation that the loop works with
  std::thread thread_;
};

DelayProxy::DelayProxy(std::string target_host, uint16_t target_port, std::chrono::microseconds rtt,
                       uint16_t listen_port)
    : loop_(std::make_unique<Loop>(std::move(target_host), target_port, rtt, listen_port)) {}
DelayProxy::~DelayProxy() = default;

uint16_t DelayProxy::port() const { return loop_->port(); }
DelayProxy::Counters DelayProxy::counters() const { return loop_->counters(); }

void DelayProxy::set_rtt(std::chrono::microseconds rtt) {
  loop_->change([rtt](Faults& faults) { faults.rtt = rtt; });
}

void DelayProxy::set_hang(bool on) {
  loop_->change([on](Faults& faults) { faults.hang = on; });
}

void DelayProxy::cut_answers_after(uint64_t bytes, uint32_t times) {
  loop_->change([=](Faults& faults) {
    faults.cut_after = bytes;
    faults.cut_times = times;
  });
}

void DelayProxy::corrupt_answers_at(uint64_t offset, uint32_t times) {
  loop_->change([=](Faults& faults) {
    faults.corrupt_at = offset;
    faults.corrupt_times = times;
  });
}

void DelayProxy::set_refuse(bool on) {
  loop_->change([on](Faults& faults) { faults.refuse = on; });
}

void DelayProxy::drop_connections() {
  loop_->change([](Faults& faults) { faults.drop = true; });
}

}  // namespace artifactfs::test
