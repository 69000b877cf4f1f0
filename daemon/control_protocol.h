// The control protocol: what the command line and the daemon say to each other. HTTP with JSON bodies over the unix
// socket `<state>/control.sock`; the only header of daemon/ that cli/ includes.
//
// Texts are UTF-8 (JSON knows nothing else): directories and remotes that are not are refused, environment variables
// that are not are left out. Unknown fields are ignored, missing ones keep their defaults, so that an older command
// line can speak to a newer daemon. A change that breaks this gets a new version in the path.
//
//   POST /v1/mounts   MountRequest -> 200, NDJSON: {"progress": "..."} lines, then {"mount": MountStatus} or {"error":
//                     ErrorBody}. Closing the connection before the last line cancels the mount.
//   GET  /v1/mounts   -> {"mounts": [MountStatus]}
//   GET  /v1/status   -> StatusReport
//   POST /v1/unmount  DirectoryRequest -> {}
//   POST /v1/remove   DirectoryRequest -> {}
//   POST /v1/gc       -> GcReport
//   GET  /metrics     -> Prometheus text
// Failures of all but the first: a status of 4xx or 5xx and {"error": ErrorBody}.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/subprocess.h"
#include "base/unique_fd.h"

namespace artifactfs::control {

/// Below the state root.
inline constexpr const char* kSocketName = "control.sock";
inline constexpr const char* kMountsPath = "/v1/mounts";
inline constexpr const char* kStatusPath = "/v1/status";
inline constexpr const char* kUnmountPath = "/v1/unmount";
inline constexpr const char* kRemovePath = "/v1/remove";
inline constexpr const char* kGcPath = "/v1/gc";
inline constexpr const char* kMetricsPath = "/metrics";
/// Larger requests are refused.
inline constexpr size_t kMaxRequestBytes = size_t{4} << 20;

/// How a mount is to be made; also part of mount.json.
struct MountOptions {
  bool read_only = false;
  bool allow_other = false;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  /// Options of -o that the filesystem's session understands, one each.
  std::vector<std::string> extra;
  Duration fetch_timeout = std::chrono::seconds(60);
  bool prefetch = true;
  friend bool operator==(const MountOptions&, const MountOptions&) = default;
};

struct MountRequest {
  std::string remote;             // as the user wrote it; may hold credentials
  std::string directory;          // absolute, symbolic links resolved
  std::string ref;                // empty: the remote's HEAD
  std::string working_directory;  // the caller's, for a remote that is a relative path
  Environment environment;        // the caller's, cleaned; secret
  MountOptions options;
  friend bool operator==(const MountRequest&, const MountRequest&) = default;
};

struct CacheStatus {
  uint64_t blobs = 0;
  uint64_t content_bytes = 0;
  uint64_t disk_bytes = 0;
  friend bool operator==(const CacheStatus&, const CacheStatus&) = default;
};

/// One workspace. `phase` is what the workdir says ("ready", "hydrating", "complete", "offline") or, from the mount
/// table, "mounting", "unmounting", "removing", "failed" (could not be brought back) or "unmounted" (kept on disk).
struct MountStatus {
  std::string directory;
  std::string remote;  // without credentials
  std::string phase;
  std::string mount_id;
  std::string ref;  // as asked for; empty: HEAD
  std::string commit;
  std::string branch;  // empty when detached
  uint64_t files = 0;
  std::string limitation;
  std::string last_error;
  uint64_t blocked_readers = 0;
  uint64_t pending_fetches = 0;  // objects queued or being fetched, for all mounts of this remote
  uint64_t requests = 0;         // to the server, by all mounts of this remote
  uint64_t bytes_received = 0;
  uint64_t kernel_requests = 0;
  CacheStatus cache;
  std::string git_directory;
  MountOptions options;
  friend bool operator==(const MountStatus&, const MountStatus&) = default;
};

struct DaemonStatus {
  int64_t pid = 0;
  int64_t worker_pid = 0;  // the process that serves the kernel
  std::string version;
  friend bool operator==(const DaemonStatus&, const DaemonStatus&) = default;
};

struct StatusReport {
  std::optional<DaemonStatus> daemon;  // null: none is running
  std::vector<MountStatus> mounts;
  friend bool operator==(const StatusReport&, const StatusReport&) = default;
};

struct DirectoryRequest {
  std::string directory;
  bool force = false;
  friend bool operator==(const DirectoryRequest&, const DirectoryRequest&) = default;
};

struct GcReport {
  std::vector<std::string> removed_stores;  // directory names below stores/
  uint64_t freed_bytes = 0;
  friend bool operator==(const GcReport&, const GcReport&) = default;
};

/// `{"code", "message"}`. The message is Error::text(); decoding gives it back as the sentence.
struct ErrorBody {
  Error error;
};

void to_json(nlohmann::json& json, const MountOptions& value);
void from_json(const nlohmann::json& json, MountOptions& value);
void to_json(nlohmann::json& json, const MountRequest& value);
void from_json(const nlohmann::json& json, MountRequest& value);
void to_json(nlohmann::json& json, const MountStatus& value);
void from_json(const nlohmann::json& json, MountStatus& value);
void to_json(nlohmann::json& json, const StatusReport& value);
void from_json(const nlohmann::json& json, StatusReport& value);
void to_json(nlohmann::json& json, const DirectoryRequest& value);
void from_json(const nlohmann::json& json, DirectoryRequest& value);
void to_json(nlohmann::json& json, const GcReport& value);
void from_json(const nlohmann::json& json, GcReport& value);
void to_json(nlohmann::json& json, const ErrorBody& value);
void from_json(const nlohmann::json& json, ErrorBody& value);

/// Parses `text` as a T. ErrorCode::protocol for what is no JSON or has a field of the wrong type.
template <typename T>
Result<T> decode(std::string_view text) {
  try {
    return nlohmann::json::parse(text).get<T>();
  } catch (const nlohmann::json::exception& e) {  // the library has no other way to say so
    return fail(ErrorCode::protocol, "cannot read a message of the control protocol", e.what());
  }
}

/// `json` in one line; bytes that are not UTF-8 become U+FFFD.
std::string encode(const nlohmann::json& json);

bool is_utf8(std::string_view text);

/// Where state is kept: `flag` (of --state-dir) if given, else $ARTIFACTFS_STATE_DIR, else /var/lib/artifactfs for
/// root, else $XDG_STATE_HOME/artifactfs (~/.local/state/artifactfs). Absolute.
Result<std::filesystem::path> state_root(const std::optional<std::string>& flag, const Environment& environment,
                                         uid_t user, const std::filesystem::path& working_directory);

/// Connects to the daemon of a state directory. ErrorCode::not_found when none listens there.
Result<UniqueFd> connect_to_daemon(const std::filesystem::path& state_root);
/// Makes the socket that connect_to_daemon() finds, with mode 0600, replacing a dead one. The caller holds the state
/// directory's lock.
Result<UniqueFd> listen_for_clients(const std::filesystem::path& state_root);

}  // namespace artifactfs::control
