#include "fetch/url_match.h"

#include <algorithm>
#include <string>
#include <vector>

#include "fetch/remote_url.h"

namespace artifactfs {

namespace {

struct UrlParts {
  std::string scheme, host, port, path;  // path begins and ends with a slash
  std::optional<std::string> user;
};

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

std::optional<UrlParts> split(std::string_view url) {
  UrlParts parts;
  const size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return std::nullopt;
  parts.scheme = lower(url.substr(0, scheme_end));
  url.remove_prefix(scheme_end + 3);
  const size_t path_begin = std::min(url.find_first_of("/?#"), url.size());
  std::string_view authority = url.substr(0, path_begin);
  parts.path = percent_decode(url.substr(path_begin, url.find_first_of("?#", path_begin) - path_begin));
  if (!parts.path.ends_with('/')) parts.path += '/';
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
    parts.user = percent_decode(authority.substr(0, std::min(authority.find(':'), at)));
    authority.remove_prefix(at + 1);
  }
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  parts.host = lower(authority.substr(0, colon));
  if (colon != std::string_view::npos) parts.port = authority.substr(colon + 1);
  if ((parts.scheme == "http" && parts.port == "80") || (parts.scheme == "https" && parts.port == "443")) {
    parts.port.clear();
  }
  if (parts.host.empty()) return std::nullopt;
  return parts;
}

std::vector<std::string_view> labels(std::string_view host) {
  std::vector<std::string_view> out;
  for (size_t begin = 0; begin <= host.size();) {
    const size_t end = std::min(host.find('.', begin), host.size());
    out.push_back(host.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

// "*" stands for exactly one label.
bool host_matches(std::string_view pattern, std::string_view host) {
  const auto wanted = labels(pattern), given = labels(host);
  return std::ranges::equal(wanted, given, [](std::string_view w, std::string_view g) { return w == "*" || w == g; });
}

}  // namespace

std::optional<UrlMatch> match_url(std::string_view pattern_text, std::string_view url_text) {
  const auto pattern = split(pattern_text), url = split(url_text);
  if (!pattern || !url || pattern->scheme != url->scheme || pattern->port != url->port) return std::nullopt;
  if (pattern->user && pattern->user != url->user) return std::nullopt;
  if (!host_matches(pattern->host, url->host) || !url->path.starts_with(pattern->path)) return std::nullopt;
  return UrlMatch{pattern->host.size(), pattern->path.size(), pattern->user.has_value()};
}

}  // namespace artifactfs
