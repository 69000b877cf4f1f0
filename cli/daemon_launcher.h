// Finding the daemon's program, becoming it, and starting it in the background.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace artifactfs::cli {

/// artifactfs-daemon beside this program, or in ../libexec/artifactfs/.
Result<std::filesystem::path> daemon_program();

/// Replaces this process by the daemon's program; returns only on failure.
Error exec_daemon(const std::vector<std::string>& arguments);

/// A connection to the daemon of `state_root`, which is started with `arguments` when none runs: exactly one of those
/// who start one at once wins, the others get a connection to it. Gives up after kStartTimeout.
Result<UniqueFd> connect_or_start_daemon(const std::filesystem::path& state_root,
                                         const std::vector<std::string>& arguments);
/// The same for verbs that only tidy up: a daemon that is started brings no mounts back and ends after the request.
Result<UniqueFd> connect_or_start_brief_daemon(const std::filesystem::path& state_root);
inline constexpr int kStartTimeoutSeconds = 30;

}  // namespace artifactfs::cli
