// run(): a command run to its end by a test, throwing when it fails, so that test set-up reads as straight lines.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/subprocess.h"

namespace artifactfs::test {

/// The command's standard output. Throws std::runtime_error with its words when it exits with anything but 0 or takes
/// longer than two minutes.
std::string run(const std::vector<std::string>& argv, const Environment& environment = current_environment(),
                const std::filesystem::path& directory = "/", std::string_view input = {});

}  // namespace artifactfs::test
