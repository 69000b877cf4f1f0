// ServerCapabilities: what a git server said it can do; and its form as text, to be remembered between sessions.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace artifactfs {

/// What the server advertised. Serializable, so that a later mount may skip the question.
struct ServerCapabilities {
  int protocol_version = 2;    // 0 or 1: only the git program can fetch here
  bool fetch_shallow = false;  // fetch=shallow
  bool fetch_filter = false;   // fetch=filter
  bool object_info = false;
  bool ref_prefix_unborn = false;  // ls-refs=unborn
  std::string object_format = "sha1";
  bool object_format_advertised = false;  // servers that do not know the capability refuse requests that carry it
  std::string agent = {};                 // empty: the server does not want to hear ours

  friend bool operator==(const ServerCapabilities&, const ServerCapabilities&) = default;
};

/// One line a field; read back by parse_capabilities().
std::string serialize_capabilities(const ServerCapabilities& capabilities);
/// ErrorCode::corrupt when `text` is not what serialize_capabilities() of this version writes: then ask the server.
Result<ServerCapabilities> parse_capabilities(std::string_view text);

/// Takes in one capability of a v2 advertisement ("fetch=shallow filter"). Unknown ones are ignored.
void apply_v2_capability(ServerCapabilities& capabilities, std::string_view line);

/// ErrorCode::not_supported for a repository whose object names are not SHA-1.
Result<void> check_object_format(const ServerCapabilities& capabilities);

/// True when `word` is one of the words of `list`, which are separated by single spaces.
bool has_word(std::string_view list, std::string_view word);

}  // namespace artifactfs
