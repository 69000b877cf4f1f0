#include "cli/mount_options.h"

#include <charconv>
#include <optional>
#include <string_view>

namespace artifactfs::cli {

namespace {

Result<uint32_t> parse_id(std::string_view option, std::string_view text) {
  uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  // The highest number means "no such id" to the kernel.
  if (error != std::errc{} || end != text.data() + text.size() || id == UINT32_MAX) {
    return fail(ErrorCode::invalid_argument, "cannot use the option '" + std::string(option) + "'",
                "it needs a number");
  }
  return id;
}

Result<void> apply(std::string_view option, control::MountOptions& into) {
  if (option.empty()) return {};
  if (option == "ro") {
    into.read_only = true;
  } else if (option == "allow_other") {
    into.allow_other = true;
  } else if (option.starts_with("uid=")) {
    TRY_ASSIGN(into.uid, parse_id(option, option.substr(4)));
  } else if (option.starts_with("gid=")) {
    TRY_ASSIGN(into.gid, parse_id(option, option.substr(4)));
  } else {
    into.extra.emplace_back(option);
  }
  return {};
}

}  // namespace

Result<void> apply_mount_options(const std::vector<std::string>& lists, control::MountOptions& into) {
  for (const std::string& list : lists) {
    std::string_view rest = list;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(','), rest.size());
      TRY(apply(rest.substr(0, end), into));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return {};
}

}  // namespace artifactfs::cli
