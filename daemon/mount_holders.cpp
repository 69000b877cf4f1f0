#include "daemon/mount_holders.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/unique_fd.h"
#include "daemon/mount_info.h"

namespace artifactfs {

namespace {

namespace fs = std::filesystem;

std::string link_target(const fs::path& link) {
  std::error_code ignored;  // the process may have ended, or be another user's
  return fs::read_symlink(link, ignored).string();
}

// The kernel appends this to the path of a file that has been unlinked.
std::string without_deleted_mark(std::string path) {
  constexpr std::string_view mark = " (deleted)";
  if (path.ends_with(mark)) path.resize(path.size() - mark.size());
  return path;
}

std::optional<std::string> open_file_within(const fs::path& process, std::string_view mount_point) {
  std::error_code error;
  for (fs::directory_iterator it(process / "fd", error), end; !error && it != end; it.increment(error)) {
    std::string target = without_deleted_mark(link_target(it->path()));
    if (is_within(target, mount_point)) return target;
  }
  return std::nullopt;
}

std::optional<std::string> mapping_within(const fs::path& process, std::string_view mount_point) {
  const auto maps = read_file(process / "maps");
  if (!maps) return std::nullopt;
  std::string_view rest = *maps;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t path = line.find('/');  // the first five columns have none
    if (path == std::string_view::npos) continue;
    std::string target = without_deleted_mark(std::string(line.substr(path)));
    if (is_within(target, mount_point)) return target;
  }
  return std::nullopt;
}

std::string how_held(const fs::path& process, std::string_view mount_point) {
  if (is_within(link_target(process / "cwd"), mount_point)) return "has its working directory in it";
  if (is_within(link_target(process / "root"), mount_point)) return "has its root directory in it";
  if (is_within(without_deleted_mark(link_target(process / "exe")), mount_point)) return "runs a program from it";
  if (const auto file = open_file_within(process, mount_point)) return "has '" + *file + "' open";
  if (const auto file = mapping_within(process, mount_point)) return "has '" + *file + "' mapped";
  return "";
}

}  // namespace

std::vector<MountHolder> find_mount_holders(const fs::path& mount_point) {
  std::vector<MountHolder> holders;
  std::error_code error;
  for (fs::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    pid_t pid = 0;
    const auto [rest, parse_error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parse_error != std::errc{} || rest != name.data() + name.size()) continue;
    std::string how = how_held(it->path(), mount_point.native());
    if (how.empty()) continue;
    std::string command = read_file(it->path() / "comm").value_or("?");
    if (command.ends_with('\n')) command.pop_back();
    holders.push_back({pid, std::move(command), std::move(how)});
  }
  std::ranges::sort(holders, {}, &MountHolder::pid);
  return holders;
}

std::string describe_mount_holders(const fs::path& mount_point) {
  const auto holders = find_mount_holders(mount_point);
  std::string text;
  for (size_t i = 0; i < std::min(holders.size(), kNamedHolders); ++i) {
    if (i > 0) text += "; ";
    text += "pid " + std::to_string(holders[i].pid) + " (" + holders[i].command + ") " + holders[i].how;
  }
  if (holders.size() > kNamedHolders) text += "; and " + std::to_string(holders.size() - kNamedHolders) + " more";
  if (!text.empty()) return text;
  if (const auto mounts = read_mount_info()) {
    for (const auto& mount : *mounts) {
      if (mount.mount_point != mount_point.native() && is_within(mount.mount_point, mount_point.native())) {
        return "'" + mount.mount_point + "' is mounted inside it";
      }
    }
  }
  return "it is in use by a process that cannot be seen from here (another user's, or in another namespace)";
}

}  // namespace artifactfs
