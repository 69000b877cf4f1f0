#include "daemon/control_server.h"

#include <httplib.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"
#include "daemon/metrics.h"

namespace artifactfs {

namespace {

using control::encode;
using nlohmann::json;

constexpr const char* kJson = "application/json";
constexpr auto kClientCheckInterval = std::chrono::milliseconds(100);
constexpr time_t kClientTimeoutSeconds = 30;  // a client that sends or takes nothing for so long is dropped

int http_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
    case ErrorCode::protocol:
      return 400;
    case ErrorCode::not_found:
      return 404;
    case ErrorCode::busy:
    case ErrorCode::already_exists:
    case ErrorCode::not_empty:
      return 409;
    default:
      return 500;
  }
}

void answer(httplib::Response& response, const Result<json>& result) {
  if (result) {
    response.set_content(encode(*result), kJson);
  } else {
    response.status = http_status(result.error().code);
    response.set_content(encode(json{{"error", control::ErrorBody{result.error()}}}), kJson);
  }
}

/// The lines of one mount's answer, from the thread that mounts to the one that writes.
class LineQueue {
 public:
  void push(std::string line) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (lines_.size() < kMaxLines) lines_.push_back(std::move(line));
    changed_.notify_one();
  }
  void finish(std::string last_line) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    lines_.push_back(std::move(last_line));
    finished_ = true;
    changed_.notify_one();
  }
  /// The lines that have come, after waiting a while for the first; `finished` once there will be no more.
  std::string take(bool& finished) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + kClientCheckInterval;
    while (lines_.empty() && !finished_ && changed_.wait_until(lock, deadline)) {
    }
    std::string all;
    for (const auto& line : lines_) all += line + "\n";
    lines_.clear();
    finished = finished_;
    return all;
  }

 private:
  static constexpr size_t kMaxLines = 1000;  // progress beyond what a stuck client takes is dropped

  Mutex mutex_;
  CondVar changed_;
  std::deque<std::string> lines_ GUARDED_BY(mutex_);
  bool finished_ GUARDED_BY(mutex_) = false;
};

/// Mounts on a thread of its own while this one writes progress to `sink`; false when the client went away.
bool stream_mount(MountTable& table, const control::MountRequest& request, httplib::DataSink& sink) {
  LineQueue lines;
  Cancellation cancellation;
  std::thread worker([&] {
    set_thread_name("mount");
    const auto progress = [&lines](const std::string& text) { lines.push(encode(json{{"progress", text}})); };
    auto status = table.mount(request, MountTable::Recovery::yes, progress, cancellation);
    if (!status && status.error().code != ErrorCode::cancelled) {
      log::info("refused a mount: {}", status.error().text());
    }
    lines.finish(encode(status ? json{{"mount", *status}} : json{{"error", control::ErrorBody{status.error()}}}));
  });
  bool finished = false;
  bool connected = true;
  while (!finished) {
    const std::string text = lines.take(finished);
    if (!connected) continue;
    connected = sink.is_writable() && (text.empty() || sink.write(text.data(), text.size()));
    if (!connected && !finished) cancellation.cancel();
  }
  worker.join();
  if (connected) sink.done();
  return connected;
}

}  // namespace

// httplib can bind unix sockets by path, but neither with a mode nor by a directory's descriptor: it is given one that
// listens already.
class ControlServer::UnixHttpServer : public httplib::Server {
 public:
  explicit UnixHttpServer(UniqueFd listening) { svr_sock_ = listening.release(); }
};

ControlServer::ControlServer(UniqueFd listening, MountTable& table, std::function<void()> on_idle)
    : table_(table),
      busy_(std::make_shared<std::atomic<size_t>>(0)),
      served_(std::make_shared<std::atomic<size_t>>(0)),
      http_(std::make_unique<UnixHttpServer>(std::move(listening))) {
  http_->new_task_queue = [] { return new httplib::ThreadPool(kThreads); };  // owned and deleted by httplib
  http_->set_keep_alive_max_count(1);                                        // an idle connection would occupy a thread
  http_->set_payload_max_length(control::kMaxRequestBytes);
  http_->set_read_timeout(kClientTimeoutSeconds);
  http_->set_write_timeout(kClientTimeoutSeconds);
  add_routes(std::move(on_idle));
  listener_ = std::thread([this] {
    set_thread_name("control");
    http_->listen_after_bind();
  });
}

ControlServer::~ControlServer() {
  // stop() does nothing before listen_after_bind() has begun.
  while (!http_->is_running()) std::this_thread::yield();
  http_->stop();
  listener_.join();
}

void ControlServer::add_routes(std::function<void()> on_idle) {
  // Counts a request from its routing to its end, streamed answers included.
  const auto guard = [busy = busy_, served = served_, on_idle = std::move(on_idle)] {
    ++*busy;
    return std::shared_ptr<void>(nullptr, [busy, served, on_idle](void*) {
      ++*served;
      --*busy;
      on_idle();
    });
  };
  const auto get = [this, guard](const char* path, const std::function<json()>& handler) {
    http_->Get(path, [guard, handler](const httplib::Request&, httplib::Response& response) {
      const auto running = guard();
      answer(response, handler());
    });
  };
  const auto post = [this, guard](const char* path,
                                  const std::function<Result<json>(const std::string& body)>& handler) {
    http_->Post(path, [guard, handler](const httplib::Request& request, httplib::Response& response) {
      const auto running = guard();
      answer(response, handler(request.body));
    });
  };
  get(control::kMountsPath, [this] { return json{{"mounts", table_.status()}}; });
  get(control::kStatusPath, [this] {
    const int64_t pid = ::getpid();  // one process does both until there is a supervisor
    return json(control::StatusReport{control::DaemonStatus{pid, pid, ARTIFACTFS_VERSION}, table_.status()});
  });
  post(control::kUnmountPath, [this](const std::string& body) -> Result<json> {
    TRY_ASSIGN(const auto request, control::decode<control::DirectoryRequest>(body));
    TRY(table_.unmount(request.directory, request.force));
    return json::object();
  });
  post(control::kRemovePath, [this](const std::string& body) -> Result<json> {
    TRY_ASSIGN(const auto request, control::decode<control::DirectoryRequest>(body));
    TRY(table_.remove(request.directory, request.force));
    return json::object();
  });
  post(control::kGcPath, [this](const std::string&) -> Result<json> {
    TRY_ASSIGN(const auto report, table_.collect_garbage());
    return json(report);
  });
  http_->Get(control::kMetricsPath, [this, guard](const httplib::Request&, httplib::Response& response) {
    const auto running = guard();
    response.set_content(metrics_text(table_.status()), "text/plain; version=0.0.4");
  });
  http_->Post(control::kMountsPath, [this, guard](const httplib::Request& request, httplib::Response& response) {
    auto running = guard();
    auto mount = control::decode<control::MountRequest>(request.body);
    if (!mount) {
      answer(response, std::unexpected(mount.error()));
      return;
    }
    response.set_chunked_content_provider("application/x-ndjson",
                                          [this, running, mount = std::move(*mount)](size_t, httplib::DataSink& sink) {
                                            return stream_mount(table_, mount, sink);
                                          });
  });
}

}  // namespace artifactfs
