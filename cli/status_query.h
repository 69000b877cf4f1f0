// What is known of a state directory's workspaces, with or without a daemon.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "daemon/control_protocol.h"

namespace artifactfs::cli {

/// From the daemon; when none runs, from what it kept on disk. Starts none and creates nothing.
Result<control::StatusReport> query_status(const std::filesystem::path& state_root);

/// The heading and a row a mount.
std::string format_mounts(const std::vector<control::MountStatus>& mounts);

}  // namespace artifactfs::cli
