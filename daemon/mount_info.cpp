#include "daemon/mount_info.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>

#include "base/unique_fd.h"

namespace artifactfs {

namespace {

// Space, tab, newline and backslash stand as three octal digits.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
    if (text[i] == '\\' && i + 3 < text.size() && std::ranges::all_of(text.substr(i + 1, 3), is_octal)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> fields;
  while (!line.empty()) {
    const size_t end = std::min(line.find(' '), line.size());
    fields.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return fields;
}

// "major:minor"
dev_t parse_device(std::string_view text) {
  unsigned major = 0;
  unsigned minor = 0;
  const auto [colon, error] = std::from_chars(text.begin(), text.end(), major);
  if (error != std::errc() || colon == text.end() || *colon != ':') return 0;
  std::from_chars(colon + 1, text.end(), minor);
  return makedev(major, minor);
}

}  // namespace

std::vector<MountInfo> parse_mount_info(std::string_view text) {
  std::vector<MountInfo> mounts;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const auto fields = split(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    // id parent major:minor root mount-point options [optional fields] - type source super-options
    const auto separator = std::find(fields.begin(), fields.end(), "-");
    if (separator - fields.begin() < 6 || fields.end() - separator < 3) continue;
    mounts.push_back({unescape(fields[4]), unescape(separator[1]), unescape(separator[2]), parse_device(fields[2])});
  }
  return mounts;
}

Result<std::vector<MountInfo>> read_mount_info() {
  TRY_ASSIGN(const std::string text, read_file("/proc/self/mountinfo"));
  return parse_mount_info(text);
}

bool is_within(std::string_view path, std::string_view directory) {
  if (directory == "/") return path.starts_with('/');
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

const MountInfo* mount_of(const std::vector<MountInfo>& mounts, std::string_view path) {
  const MountInfo* best = nullptr;
  for (const auto& mount : mounts) {
    if (is_within(path, mount.mount_point) &&
        (best == nullptr || mount.mount_point.size() >= best->mount_point.size())) {
      best = &mount;
    }
  }
  return best;
}

const MountInfo* mount_at(const std::vector<MountInfo>& mounts, std::string_view path) {
  const MountInfo* found = mount_of(mounts, path);
  return found != nullptr && found->mount_point == path ? found : nullptr;
}

}  // namespace artifactfs
