// A table for people: columns padded to their widest cell.
#pragma once

#include <string>
#include <vector>

namespace artifactfs::cli {

/// The first row is the heading. Control characters in cells become '?'.
std::string format_table(std::vector<std::vector<std::string>> rows);

/// "12.3 MiB"
std::string format_bytes(unsigned long long bytes);

}  // namespace artifactfs::cli
