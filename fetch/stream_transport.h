// StreamTransport: git-upload-pack over connections that keep state: ssh, a local child, git://. A connection costs a
// process or a handshake, so those that speak protocol v2 are pooled: each carries one command at a time and goes back
// to the pool when its answer's flush-pkt has been read. At most kMaxConnections exist; further commands wait for one.
//
//   connecting -> handshaken -> busy <-> idle -> ended (idle for kIdleTimeout, closed by the peer, or shutdown)
//                      |           \-> ended (error, cancelled, or its answer not read to the end)
//                      \-> ended (v0/v1: the advertisement is handed through, nothing can be asked afterwards)
//
// All waiting happens in Response::read(), so that it can be cancelled.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "fetch/git_config.h"
#include "fetch/stream_connection.h"
#include "fetch/transport.h"

namespace artifactfs {

/// A transport for ssh, local and git remotes. Nothing is connected yet.
Result<std::unique_ptr<Transport>> make_stream_transport(const RemoteUrl& remote, const GitConfig& config,
                                                         const TransportContext& context);

class StreamTransport final : public Transport {
 public:
  static constexpr size_t kMaxConnections = 8;
  static constexpr std::chrono::seconds kIdleTimeout{60};
  static constexpr size_t kMaxAdvertisementBytes = size_t{64} << 10;  // of a v2 server

  /// Makes a fresh connection; whatever the service needs to be told first has been sent.
  using Dialer = std::function<Result<std::unique_ptr<StreamConnection>>(const Wakeup&)>;

  StreamTransport(std::string shown_url, Dialer dial);
  ~StreamTransport() override;

  Result<std::unique_ptr<Response>> advertisement() override;
  Result<std::unique_ptr<Response>> command(std::string request) override;
  void shutdown() noexcept override;
  TransportStats stats() const override;

 private:
  friend class StreamResponse;
  using ConnectionPtr = std::unique_ptr<StreamConnection>;

  Result<std::unique_ptr<Response>> respond(std::string request);
  /// An idle connection, or null with the right to make one (then give_back() must follow, whatever happens).
  Result<ConnectionPtr> take(bool fresh, const std::atomic<bool>& cancelled);
  Result<ConnectionPtr> dial(const Wakeup& wakeup);
  /// Ends a use: a connection in good order goes to the pool, null or a spoilt one frees its place.
  void give_back(ConnectionPtr connection, bool reusable);
  void forget(Response* response);
  void reap();

  const std::string shown_url_;
  const Dialer dialer_;
  std::atomic<uint64_t> requests_{0}, bytes_received_{0}, bytes_sent_{0}, connections_{0};
  mutable Mutex mutex_;
  CondVar changed_;
  std::vector<ConnectionPtr> idle_ GUARDED_BY(mutex_);  // the longest idle first
  size_t places_taken_ GUARDED_BY(mutex_) = 0;          // busy and idle
  bool shut_down_ GUARDED_BY(mutex_) = false;
  std::set<Response*> responses_ GUARDED_BY(mutex_);
  std::thread reaper_;
};

}  // namespace artifactfs
