// The daemon's life: state directory, mount table, control API, signals, readiness, the end.
#pragma once

#include <filesystem>
#include <optional>

#include "base/clock.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "daemon/control_protocol.h"
#include "daemon/rooms.h"

namespace artifactfs {

struct DaemonOptions {
  std::filesystem::path state_root;
  /// Set: started by `mount`. Writes to <state>/daemon.log and ends this long after the last mount is gone.
  std::optional<Duration> idle_exit;
  /// Bring back the mounts that were up when the last daemon ended.
  bool recovery = true;
  /// Set: gets "ready\n" when clients are served, or one line that says why they will not be.
  UniqueFd ready;
  /// Set: serve this mount, bring back no other, and end with it.
  std::optional<control::MountRequest> foreground_mount;
};

/// Runs until SIGTERM or SIGINT, until idle, or until the foreground mount is gone. Call before any thread was started.
Result<void> run_daemon(DaemonOptions options, Rooms rooms);

}  // namespace artifactfs
