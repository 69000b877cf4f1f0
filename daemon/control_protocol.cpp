#include "daemon/control_protocol.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace artifactfs::control {

namespace {

using nlohmann::json;

constexpr int kListenBacklog = 128;

ErrorCode code_from_string(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::interrupted); ++i) {
    if (to_string(static_cast<ErrorCode>(i)) == name) return static_cast<ErrorCode>(i);
  }
  return ErrorCode::internal;
}

template <typename T>
void read_field(const json& object, const char* name, T& into) {
  if (const auto found = object.find(name); found != object.end() && !found->is_null()) found->get_to(into);
}

template <typename T>
void read_field(const json& object, const char* name, std::optional<T>& into) {
  if (const auto found = object.find(name); found != object.end() && !found->is_null()) into = found->get<T>();
}

template <typename T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

int64_t to_milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

// A unix socket's address has room for 107 bytes; a longer path is reached through its directory's descriptor.
struct SocketAddress {
  sockaddr_un address{};
  UniqueFd directory;
};

Result<SocketAddress> socket_address(const std::filesystem::path& state_root) {
  SocketAddress out;
  out.address.sun_family = AF_UNIX;
  std::string path = (state_root / kSocketName).string();
  if (path.size() >= sizeof out.address.sun_path) {
    TRY_ASSIGN(out.directory, open_file(state_root, O_PATH | O_DIRECTORY));
    path = "/proc/self/fd/" + std::to_string(out.directory.get()) + "/" + kSocketName;
  }
  std::memcpy(out.address.sun_path, path.c_str(), path.size() + 1);
  return out;
}

}  // namespace

void to_json(json& j, const MountOptions& value) {
  j = json{{"read_only", value.read_only},
           {"allow_other", value.allow_other},
           {"uid", or_null(value.uid)},
           {"gid", or_null(value.gid)},
           {"extra", value.extra},
           {"fetch_timeout_ms", to_milliseconds(value.fetch_timeout)},
           {"prefetch", value.prefetch ? "all" : "none"}};
}

void from_json(const json& j, MountOptions& value) {
  read_field(j, "read_only", value.read_only);
  read_field(j, "allow_other", value.allow_other);
  read_field(j, "uid", value.uid);
  read_field(j, "gid", value.gid);
  read_field(j, "extra", value.extra);
  int64_t milliseconds = to_milliseconds(value.fetch_timeout);
  read_field(j, "fetch_timeout_ms", milliseconds);
  value.fetch_timeout = std::chrono::milliseconds(milliseconds);
  std::string prefetch = "all";
  read_field(j, "prefetch", prefetch);
  value.prefetch = prefetch != "none";
}

void to_json(json& j, const MountRequest& value) {
  j = json{{"remote", value.remote},         {"dir", value.directory},           {"ref", value.ref},
           {"cwd", value.working_directory}, {"environment", value.environment}, {"options", value.options}};
}

void from_json(const json& j, MountRequest& value) {
  j.at("remote").get_to(value.remote);
  j.at("dir").get_to(value.directory);
  read_field(j, "ref", value.ref);
  read_field(j, "cwd", value.working_directory);
  read_field(j, "environment", value.environment);
  read_field(j, "options", value.options);
}

void to_json(json& j, const MountStatus& value) {
  j = json{{"dir", value.directory},
           {"remote", value.remote},
           {"phase", value.phase},
           {"mount_id", value.mount_id},
           {"ref", value.ref},
           {"commit", value.commit},
           {"branch", value.branch},
           {"files", value.files},
           {"limitation", value.limitation},
           {"last_error", value.last_error},
           {"blocked_readers", value.blocked_readers},
           {"pending_fetches", value.pending_fetches},
           {"requests", value.requests},
           {"bytes_received", value.bytes_received},
           {"kernel_requests", value.kernel_requests},
           {"cache",
            {{"blobs", value.cache.blobs},
             {"content_bytes", value.cache.content_bytes},
             {"disk_bytes", value.cache.disk_bytes}}},
           {"git_dir", value.git_directory},
           {"options", value.options}};
}

void from_json(const json& j, MountStatus& value) {
  j.at("dir").get_to(value.directory);
  read_field(j, "remote", value.remote);
  read_field(j, "phase", value.phase);
  read_field(j, "mount_id", value.mount_id);
  read_field(j, "ref", value.ref);
  read_field(j, "commit", value.commit);
  read_field(j, "branch", value.branch);
  read_field(j, "files", value.files);
  read_field(j, "limitation", value.limitation);
  read_field(j, "last_error", value.last_error);
  read_field(j, "blocked_readers", value.blocked_readers);
  read_field(j, "pending_fetches", value.pending_fetches);
  read_field(j, "requests", value.requests);
  read_field(j, "bytes_received", value.bytes_received);
  read_field(j, "kernel_requests", value.kernel_requests);
  json cache = json::object();
  read_field(j, "cache", cache);
  read_field(cache, "blobs", value.cache.blobs);
  read_field(cache, "content_bytes", value.cache.content_bytes);
  read_field(cache, "disk_bytes", value.cache.disk_bytes);
  read_field(j, "git_dir", value.git_directory);
  read_field(j, "options", value.options);
}

void to_json(json& j, const StatusReport& value) {
  json daemon = nullptr;
  if (value.daemon) {
    daemon =
        json{{"pid", value.daemon->pid}, {"worker_pid", value.daemon->worker_pid}, {"version", value.daemon->version}};
  }
  j = json{{"daemon", daemon}, {"mounts", value.mounts}};
}

void from_json(const json& j, StatusReport& value) {
  json daemon = nullptr;
  read_field(j, "daemon", daemon);
  if (!daemon.is_null()) {
    value.daemon.emplace();
    read_field(daemon, "pid", value.daemon->pid);
    read_field(daemon, "worker_pid", value.daemon->worker_pid);
    read_field(daemon, "version", value.daemon->version);
  }
  read_field(j, "mounts", value.mounts);
}

void to_json(json& j, const DirectoryRequest& value) { j = json{{"dir", value.directory}, {"force", value.force}}; }

void from_json(const json& j, DirectoryRequest& value) {
  j.at("dir").get_to(value.directory);
  read_field(j, "force", value.force);
}

void to_json(json& j, const GcReport& value) {
  j = json{{"removed_stores", value.removed_stores}, {"freed_bytes", value.freed_bytes}};
}

void from_json(const json& j, GcReport& value) {
  read_field(j, "removed_stores", value.removed_stores);
  read_field(j, "freed_bytes", value.freed_bytes);
}

void to_json(json& j, const ErrorBody& value) {
  j = json{{"code", to_string(value.error.code)}, {"message", value.error.text()}};
}

void from_json(const json& j, ErrorBody& value) {
  value.error.code = code_from_string(j.at("code").get<std::string>());
  value.error.sentence = j.at("message").get<std::string>();
}

std::string encode(const json& j) { return j.dump(-1, ' ', false, json::error_handler_t::replace); }

bool is_utf8(std::string_view text) {
  try {
    [[maybe_unused]] const std::string encoded = json(text).dump();
    return true;
  } catch (const json::exception&) {
    return false;
  }
}

Result<std::filesystem::path> state_root(const std::optional<std::string>& flag, const Environment& environment,
                                         uid_t user, const std::filesystem::path& working_directory) {
  std::filesystem::path root;
  if (flag) {
    root = *flag;
  } else if (const auto named = environment_value(environment, "ARTIFACTFS_STATE_DIR"); named && !named->empty()) {
    root = *named;
  } else if (user == 0) {
    root = "/var/lib/artifactfs";
  } else if (const auto xdg = environment_value(environment, "XDG_STATE_HOME"); xdg && xdg->starts_with('/')) {
    root = std::filesystem::path(*xdg) / "artifactfs";
  } else if (const auto home = environment_value(environment, "HOME"); home && home->starts_with('/')) {
    root = std::filesystem::path(*home) / ".local/state/artifactfs";
  }
  if (root.empty()) {
    return fail(ErrorCode::invalid_argument, "cannot find a state directory",
                "neither --state-dir, ARTIFACTFS_STATE_DIR, XDG_STATE_HOME nor HOME is set");
  }
  root = (working_directory / root).lexically_normal();
  if (!root.has_filename()) root = root.parent_path();  // a trailing slash
  return root;
}

Result<UniqueFd> connect_to_daemon(const std::filesystem::path& state_root) {
  const std::string sentence = "cannot reach the daemon of '" + state_root.string() + "'";
  const auto target = socket_address(state_root);
  if (!target) return fail(target.error().within(sentence));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, sentence);
  int result;
  do {
    result = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&target->address), sizeof target->address);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return fd;
  if (errno == ENOENT || errno == ENOTDIR || errno == ECONNREFUSED) {
    return fail(ErrorCode::not_found, sentence, "none is running");
  }
  return fail_errno(errno, sentence);
}

Result<UniqueFd> listen_for_clients(const std::filesystem::path& state_root) {
  const std::string sentence = "cannot listen on '" + (state_root / kSocketName).string() + "'";
  const auto target = socket_address(state_root);
  if (!target) return fail(target.error().within(sentence));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, sentence);
  ::unlink(target->address.sun_path);
  // On Linux the socket's file takes the mode of the socket's inode less the umask, so nobody sees it wider than this.
  if (::fchmod(fd.get(), 0600) != 0 ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&target->address), sizeof target->address) != 0 ||
      ::listen(fd.get(), kListenBacklog) != 0) {
    return fail_errno(errno, sentence);
  }
  return fd;
}

}  // namespace artifactfs::control
