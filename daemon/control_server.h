// ControlServer: the control API (control_protocol.h) on a listening unix socket, wired to a MountTable.
//
// Thread-safe. Each request runs on one of kThreads threads; a mount under way occupies one of them and a thread of its
// own that is ended, through its Cancellation, when the client goes away.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "base/unique_fd.h"
#include "daemon/control_protocol.h"
#include "daemon/mount_table.h"

namespace artifactfs {

class ControlServer {
 public:
  static constexpr size_t kThreads = 32;

  /// Serves on `listening` until destroyed. `on_idle` runs after each request, with no lock held.
  ControlServer(UniqueFd listening, MountTable& table, std::function<void()> on_idle);
  /// Stops accepting and waits for the requests under way: call MountTable::shutdown() first, to cut mounts short.
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  /// Requests that have ended.
  size_t served() const { return served_->load(); }
  /// Requests under way.
  size_t busy() const { return busy_->load(); }

 private:
  class UnixHttpServer;
  void add_routes(std::function<void()> on_idle);

  MountTable& table_;
  std::shared_ptr<std::atomic<size_t>> busy_;
  std::shared_ptr<std::atomic<size_t>> served_;
  std::unique_ptr<UnixHttpServer> http_;
  std::thread listener_;
};

}  // namespace artifactfs
