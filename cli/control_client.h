// The client's side of the control protocol: one connection a request. Not thread-safe.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "daemon/control_protocol.h"

namespace artifactfs::cli {

/// A daemon's answer, or the error it answered with. ErrorCode::unavailable when it went away without an answer.
Result<nlohmann::json> get(UniqueFd connection, const std::string& path);
Result<nlohmann::json> post(UniqueFd connection, const std::string& path, const nlohmann::json& body);

/// POST /v1/mounts, passing on progress.
Result<control::MountStatus> post_mount(UniqueFd connection, const control::MountRequest& request,
                                        const std::function<void(const std::string&)>& on_progress);

}  // namespace artifactfs::cli
