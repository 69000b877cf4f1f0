// Which http.<url>.* settings of git's configuration concern a URL, and which of two is the better match
// (git-config(1), "http.<url>.*"). Ours because `git config --get-urlmatch` answers one value a key, and
// http.extraHeader has several; and because it spares a second process on the mount path. Tests compare it with git.
#pragma once

#include <compare>
#include <optional>
#include <string_view>

namespace artifactfs {

/// How well a setting's URL fits; greater is better. In git's order: the length of the host (so that
/// one spelled out beats a wildcard), then the path's, then whether the user name was matched.
struct UrlMatch {
  size_t host_length = 0;
  size_t path_length = 0;
  bool user_matched = false;
  friend auto operator<=>(const UrlMatch&, const UrlMatch&) = default;
};

/// `pattern`: the <url> of the setting; `url`: the http(s) URL that is about to be used. nullopt when they do not match
/// or either is not a URL with a host.
std::optional<UrlMatch> match_url(std::string_view pattern, std::string_view url);

}  // namespace artifactfs
