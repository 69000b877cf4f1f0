#include "fetch/server_capabilities.h"

#include <fmt/format.h>

namespace artifactfs {

namespace {

constexpr std::string_view kFirstLine = "artifactfs server capabilities 1";

std::string_view next_line(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

/// The value of the next line, which must be "<key>=<value>".
Result<std::string_view> next_value(std::string_view& text, std::string_view key) {
  const std::string_view line = next_line(text);
  if (!line.starts_with(key) || !line.substr(key.size()).starts_with('='))
    return fail(ErrorCode::corrupt, "cannot read remembered server capabilities", fmt::format("no '{}'", key));
  return line.substr(key.size() + 1);
}

Result<bool> next_flag(std::string_view& text, std::string_view key) {
  TRY_ASSIGN(const std::string_view value, next_value(text, key));
  return value == "1";
}

}  // namespace

bool has_word(std::string_view list, std::string_view word) {
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(' ', begin), list.size());
    if (list.substr(begin, end - begin) == word) return true;
    begin = end + 1;
  }
  return false;
}

std::string serialize_capabilities(const ServerCapabilities& c) {
  return fmt::format(
      "{}\nprotocol_version={}\nfetch_shallow={:d}\nfetch_filter={:d}\nobject_info={:d}\nref_prefix_unborn={:d}\n"
      "object_format={}\nobject_format_advertised={:d}\nagent={}\n",
      kFirstLine, c.protocol_version, c.fetch_shallow, c.fetch_filter, c.object_info, c.ref_prefix_unborn,
      c.object_format, c.object_format_advertised, c.agent);
}

Result<ServerCapabilities> parse_capabilities(std::string_view text) {
  if (next_line(text) != kFirstLine)
    return fail(ErrorCode::corrupt, "cannot read remembered server capabilities", "they have an unknown form");
  ServerCapabilities c;
  TRY_ASSIGN(const std::string_view version, next_value(text, "protocol_version"));
  if (version != "0" && version != "1" && version != "2")
    return fail(ErrorCode::corrupt, "cannot read remembered server capabilities", "unknown protocol version");
  c.protocol_version = version[0] - '0';
  TRY_ASSIGN(c.fetch_shallow, next_flag(text, "fetch_shallow"));
  TRY_ASSIGN(c.fetch_filter, next_flag(text, "fetch_filter"));
  TRY_ASSIGN(c.object_info, next_flag(text, "object_info"));
  TRY_ASSIGN(c.ref_prefix_unborn, next_flag(text, "ref_prefix_unborn"));
  TRY_ASSIGN(c.object_format, next_value(text, "object_format"));
  TRY_ASSIGN(c.object_format_advertised, next_flag(text, "object_format_advertised"));
  TRY_ASSIGN(c.agent, next_value(text, "agent"));
  return c;
}

void apply_v2_capability(ServerCapabilities& capabilities, std::string_view line) {
  const size_t equals = line.find('=');
  const std::string_view key = line.substr(0, equals);
  const std::string_view value = equals == std::string_view::npos ? "" : line.substr(equals + 1);
  if (key == "agent") {
    capabilities.agent = value;
  } else if (key == "object-format") {
    capabilities.object_format = value;
    capabilities.object_format_advertised = true;
  } else if (key == "object-info") {
    capabilities.object_info = true;
  } else if (key == "ls-refs") {
    capabilities.ref_prefix_unborn = has_word(value, "unborn");
  } else if (key == "fetch") {
    capabilities.fetch_shallow = has_word(value, "shallow");
    capabilities.fetch_filter = has_word(value, "filter");
  }
}

Result<void> check_object_format(const ServerCapabilities& capabilities) {
  if (capabilities.object_format == "sha1") return {};
  const std::string name = capabilities.object_format == "sha256" ? "SHA-256" : "'" + capabilities.object_format + "'";
  return fail(ErrorCode::not_supported, "cannot use the repository", "it uses " + name + " object names");
}

}  // namespace artifactfs
