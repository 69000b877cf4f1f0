#include "cli/control_client.h"

#include <httplib.h>

#include <chrono>
#include <optional>
#include <utility>

namespace artifactfs::cli {

namespace {

using nlohmann::json;

// The daemon's end closes the connection; until then a mount may take as long as its server does.
constexpr auto kReadTimeout = std::chrono::hours(24);

// httplib would connect without blocking, which fails on a unix socket whose backlog is full.
class ConnectedClient : public httplib::ClientImpl {
 public:
  explicit ConnectedClient(UniqueFd connection) : httplib::ClientImpl("localhost"), connection_(std::move(connection)) {
    set_read_timeout(kReadTimeout);
  }

 protected:
  bool create_and_connect_socket(Socket& socket, httplib::Error& error) override {
    socket.sock = connection_.release();
    if (socket.sock >= 0) return true;
    error = httplib::Error::Connection;
    return false;
  }

 private:
  UniqueFd connection_;
};

Result<json> decode_answer(const httplib::Result& result) {
  if (!result) return fail(ErrorCode::unavailable, "cannot ask the daemon", "it went away without an answer");
  TRY_ASSIGN(json body, control::decode<json>(result->body));
  if (result->status == 200) return body;
  if (!body.is_object() || !body.contains("error")) {
    return fail(ErrorCode::protocol, "cannot ask the daemon", "it answered " + std::to_string(result->status));
  }
  TRY_ASSIGN(const auto error, control::decode<control::ErrorBody>(body["error"].dump()));
  return fail(error.error);
}

}  // namespace

Result<json> get(UniqueFd connection, const std::string& path) {
  ConnectedClient client(std::move(connection));
  return decode_answer(client.Get(path));
}

Result<json> post(UniqueFd connection, const std::string& path, const json& body) {
  ConnectedClient client(std::move(connection));
  return decode_answer(client.Post(path, control::encode(body), "application/json"));
}

Result<control::MountStatus> post_mount(UniqueFd connection, const control::MountRequest& request,
                                        const std::function<void(const std::string&)>& on_progress) {
  ConnectedClient client(std::move(connection));
  std::string pending;
  std::optional<Result<control::MountStatus>> outcome;
  const auto take_line = [&](const std::string& line) {
    const json message = json::parse(line, nullptr, false);
    if (!message.is_object()) return;
    if (const auto progress = message.find("progress"); progress != message.end() && progress->is_string()) {
      on_progress(progress->get<std::string>());
    } else if (message.contains("mount")) {
      outcome = control::decode<control::MountStatus>(message["mount"].dump());
    } else if (message.contains("error")) {
      const auto error = control::decode<control::ErrorBody>(message["error"].dump());
      outcome = std::unexpected(error ? error->error : error.error());
    }
  };
  httplib::Request message;
  message.method = "POST";
  message.path = control::kMountsPath;
  message.headers.emplace("Content-Type", "application/json");
  message.body = control::encode(request);
  message.content_receiver = [&](const char* data, size_t size, uint64_t, uint64_t) {
    pending.append(data, size);
    for (size_t end; (end = pending.find('\n')) != std::string::npos; pending.erase(0, end + 1)) {
      take_line(pending.substr(0, end));
    }
    return true;
  };
  [[maybe_unused]] const auto result = client.send(message);
  if (!pending.empty()) take_line(pending);
  if (outcome) return *outcome;
  return fail(ErrorCode::unavailable, "cannot mount on '" + request.directory + "'",
              "the daemon went away; its log may say why");
}

}  // namespace artifactfs::cli
