// What GET /metrics answers, in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/).
#pragma once

#include <string>
#include <vector>

#include "daemon/control_protocol.h"

namespace artifactfs {

/// Counted a remote where the figures are a store's (several mounts share it), else a mount.
std::string metrics_text(const std::vector<control::MountStatus>& mounts);

}  // namespace artifactfs
