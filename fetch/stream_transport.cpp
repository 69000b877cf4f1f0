#include "fetch/stream_transport.h"

#include <fmt/format.h>

#include <algorithm>

#include "fetch/ssh_command.h"
#include "fetch/stream_response.h"

namespace artifactfs {

namespace {

constexpr std::chrono::milliseconds kCancelInterval{20};  // how late a wait for a free place notices a cancel
constexpr std::chrono::seconds kProbeTimeout{10};
constexpr uint16_t kGitPort = 9418;
constexpr std::string_view kProtocolVariable = "GIT_PROTOCOL";
constexpr std::string_view kProtocolVersion = "version=2";

SubprocessOptions child_options(const TransportContext& context) {
  SubprocessOptions options;
  options.environment = context.environment;
  set_environment_value(options.environment, kProtocolVariable, kProtocolVersion);
  options.working_directory = context.working_directory;
  options.user = context.user;
  return options;
}

StreamTransport::Dialer local_dialer(const RemoteUrl& remote, const TransportContext& context) {
  SubprocessOptions options = child_options(context);
  // Whoever may read the repository's files may have any of its objects; so may this child, whatever the repository's
  // configuration allows to strangers. An ordinary work tree then needs no full download.
  options.argv = {"git"};
  for (const char* setting :
       {"uploadpack.allowFilter=true", "uploadpack.allowAnySHA1InWant=true", "transfer.advertiseObjectInfo=true"}) {
    options.argv.insert(options.argv.end(), {"-c", setting});
  }
  options.argv.insert(options.argv.end(), {"upload-pack", "--", remote.path});
  return [options](const Wakeup&) { return StreamConnection::spawn(options); };
}

// What kind of ssh an unknown program is, asked once.
class SshDialer {
 public:
  SshDialer(RemoteUrl remote, const GitConfig& config, const TransportContext& context)
      : remote_(std::move(remote)),
        options_(child_options(context)),
        program_(choose_ssh_program(config, context.environment)) {}

  Result<std::unique_ptr<StreamConnection>> dial() {
    SubprocessOptions options = options_;
    TRY_ASSIGN(options.argv, ssh_arguments(known_program(), remote_));
    return StreamConnection::spawn(std::move(options));
  }

 private:
  SshProgram known_program() {
    {
      MutexLock lock(mutex_);
      if (program_.variant != SshVariant::automatic) return program_;
    }
    SubprocessOptions options = options_;
    options.argv = ssh_probe_arguments(program_, remote_);
    const auto output = run_subprocess(options, {}, Clock::system().now() + kProbeTimeout);
    MutexLock lock(mutex_);
    program_.variant = output && output->status == 0 ? SshVariant::openssh : SshVariant::simple;
    return program_;
  }

  const RemoteUrl remote_;
  const SubprocessOptions options_;
  Mutex mutex_;
  SshProgram program_;  // argv is constant; variant guarded by mutex_
};

// gitprotocol-pack(5), "Git Transport": the extra parameter after two NULs asks for version 2.
StreamTransport::Dialer git_dialer(const RemoteUrl& remote) {
  const std::string host = remote.host.find(':') == std::string::npos ? remote.host : "[" + remote.host + "]";
  const std::string port = remote.port == 0 ? "" : ":" + std::to_string(remote.port);
  std::string line = "git-upload-pack " + remote.path;
  line += '\0';
  line += "host=" + host + port;
  line.append(2, '\0');
  line += kProtocolVersion;
  line += '\0';
  const std::string greeting = fmt::format("{:04x}", line.size() + 4) + line;
  return [remote, greeting](const Wakeup& wakeup) -> Result<std::unique_ptr<StreamConnection>> {
    const Deadline deadline = Clock::system().now() + Transport::kConnectTimeout;
    TRY_ASSIGN(auto connection,
               StreamConnection::connect(remote.host, remote.port != 0 ? remote.port : kGitPort, deadline, wakeup));
    TRY(connection->write(greeting, Transport::kConnectTimeout, wakeup));
    return connection;
  };
}

}  // namespace

Result<std::unique_ptr<Transport>> make_stream_transport(const RemoteUrl& remote, const GitConfig& config,
                                                         const TransportContext& context) {
  switch (remote.scheme) {
    case RemoteScheme::local:
      return std::make_unique<StreamTransport>(remote.display(), local_dialer(remote, context));
    case RemoteScheme::git:
      return std::make_unique<StreamTransport>(remote.display(), git_dialer(remote));
    case RemoteScheme::ssh: {
      auto dialer = std::make_shared<SshDialer>(remote, config, context);
      return std::make_unique<StreamTransport>(remote.display(), [dialer](const Wakeup&) { return dialer->dial(); });
    }
    default:
      return fail(ErrorCode::invalid_argument, "cannot use remote '" + remote.display() + "'", "unknown scheme");
  }
}

StreamTransport::StreamTransport(std::string shown_url, Dialer dial)
    : shown_url_(std::move(shown_url)), dialer_(std::move(dial)), reaper_([this] { reap(); }) {}

StreamTransport::~StreamTransport() {
  shutdown();
  reaper_.join();
}

Result<std::unique_ptr<Response>> StreamTransport::respond(std::string request) {
  TRY_ASSIGN(auto wakeup, Wakeup::make());
  auto response = std::make_unique<StreamResponse>(*this, std::move(request), std::move(wakeup));
  MutexLock lock(mutex_);
  if (shut_down_) {
    lock.unlock();
    return fail(ErrorCode::cancelled, "cannot fetch from '" + shown_url_ + "'", "the transport is shut down");
  }
  responses_.insert(response.get());
  requests_ += 1;
  return response;
}

Result<std::unique_ptr<Response>> StreamTransport::advertisement() { return respond({}); }

Result<std::unique_ptr<Response>> StreamTransport::command(std::string request) {
  if (request.empty()) {
    return fail(ErrorCode::invalid_argument, "cannot fetch from '" + shown_url_ + "'", "the request is empty");
  }
  return respond(std::move(request));
}

Result<StreamTransport::ConnectionPtr> StreamTransport::take(bool fresh, const std::atomic<bool>& cancelled) {
  std::vector<ConnectionPtr> dead;  // declared first: ended after the lock is released
  MutexLock lock(mutex_);
  for (;;) {
    if (cancelled || shut_down_) return fail(ErrorCode::cancelled, "cannot fetch", "the request was cancelled");
    while (!idle_.empty()) {
      ConnectionPtr connection = std::move(idle_.back());
      idle_.pop_back();
      if (!fresh && connection->is_usable()) return connection;
      dead.push_back(std::move(connection));
      --places_taken_;
    }
    if (places_taken_ < kMaxConnections) {
      ++places_taken_;
      return nullptr;
    }
    changed_.wait_until(lock, Clock::system().now() + kCancelInterval);
  }
}

Result<StreamTransport::ConnectionPtr> StreamTransport::dial(const Wakeup& wakeup) {
  connections_ += 1;
  return dialer_(wakeup);
}

void StreamTransport::give_back(ConnectionPtr connection, bool reusable) {
  {
    MutexLock lock(mutex_);
    changed_.notify_all();
    if (connection != nullptr && reusable && !shut_down_) {
      connection->idle_since = Clock::system().now();
      idle_.push_back(std::move(connection));
      return;
    }
    --places_taken_;
  }
  if (connection) connection->close_sending();
}

// Ends connections that have been idle too long.
void StreamTransport::reap() {
  MutexLock lock(mutex_);
  while (!shut_down_) {
    if (idle_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const TimePoint due = idle_.front()->idle_since + kIdleTimeout;
    if (Clock::system().now() < due) {
      changed_.wait_until(lock, due);
      continue;
    }
    ConnectionPtr expired = std::move(idle_.front());
    idle_.erase(idle_.begin());
    --places_taken_;
    lock.unlock();
    expired.reset();
    lock.lock();
  }
}

void StreamTransport::forget(Response* response) {
  MutexLock lock(mutex_);
  responses_.erase(response);
}

void StreamTransport::shutdown() noexcept {
  std::vector<ConnectionPtr> ended;
  MutexLock lock(mutex_);
  shut_down_ = true;
  // Under the lock, so that none of them goes away meanwhile; cancel() waits for nothing.
  for (Response* response : responses_) response->cancel();
  ended.swap(idle_);
  places_taken_ -= ended.size();
  changed_.notify_all();
}

TransportStats StreamTransport::stats() const { return {requests_, bytes_received_, bytes_sent_, connections_}; }

}  // namespace artifactfs
