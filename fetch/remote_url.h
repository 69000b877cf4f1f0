// RemoteUrl: what the user named as remote, taken apart. Credentials are separated from what may be shown or stored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace artifactfs {

enum class RemoteScheme : uint8_t { http, https, ssh, git, local };

struct UrlCredentials {
  std::string username;
  std::optional<std::string> password;
};

struct RemoteUrl {
  RemoteScheme scheme = RemoteScheme::https;
  std::string host;   // empty for local; IPv6 literals without brackets
  uint16_t port = 0;  // 0: the scheme's default
  std::string
      path;  // as sent: "/owner/repo.git" for URLs, "owner/repo.git" or "~user/x" for scp-like, absolute for local
  std::string ssh_user;                       // ssh only; a name, not a secret
  bool scp_like = false;                      // host:path
  std::optional<UrlCredentials> credentials;  // http(s) user info, percent-decoded; never shown or stored

  /// Parses a URL, "host:path", or a path (made absolute against `working_directory`; "~" is not expanded). Refuses
  /// with ErrorCode::invalid_argument: control characters, hosts or paths that begin with '-' (they would be read as
  /// options by ssh or git), unknown schemes, ports out of range.
  static Result<RemoteUrl> parse(std::string_view text, std::string_view working_directory = "/");

  /// The URL without credentials, as given to git and shown to people.
  std::string display() const;
  /// Equal for equal repositories: scheme and host in lower case, default ports dropped, "." and ".." and doubled or
  /// trailing slashes and percent-encoding of unreserved characters normalized. The key of a store; http and https
  /// differ, as do users of ssh. The http user name (never the password) is part of it: what one account may read must
  /// not be served to another.
  std::string canonical() const;
};

/// Percent-decoding; invalid sequences stay as they are.
std::string percent_decode(std::string_view text);

}  // namespace artifactfs
