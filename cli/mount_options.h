// The text of `mount -o`.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "daemon/control_protocol.h"

namespace artifactfs::cli {

/// Applies the options of each `-o a,b=c` to `into`. What it does not know goes to MountOptions::extra, for the
/// filesystem's session to take or to refuse.
Result<void> apply_mount_options(const std::vector<std::string>& lists, control::MountOptions& into);

}  // namespace artifactfs::cli
