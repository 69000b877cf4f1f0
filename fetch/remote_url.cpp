#include "fetch/remote_url.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace artifactfs {

namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The value of the percent sequence at `at`, or -1.
int percent_value(std::string_view text, size_t at) {
  if (text[at] != '%' || at + 2 >= text.size()) return -1;
  const int high = hex_value(text[at + 1]), low = hex_value(text[at + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// RFC 3986, section 2.3.
bool is_unreserved(char c) { return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~'; }

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

void append_encoded(std::string& out, char c) {
  const auto byte = static_cast<unsigned char>(c);
  out += '%';
  out += kHexDigits[byte >> 4];
  out += kHexDigits[byte & 15];
}

// A raw byte string (a path of ssh, git or file) as it stands in a URL. Git decodes the whole URL, so only what the
// decoding or the eye would stumble over needs a percent sign.
std::string encode_raw_path(std::string_view path) {
  std::string out;
  for (const char c : path) {
    if (c == '%' || c == ' ' || c == '"' || static_cast<unsigned char>(c) < 0x21) {
      append_encoded(out, c);
    } else {
      out += c;
    }
  }
  return out;
}

std::string encode_user(std::string_view user) {
  std::string out;
  for (const char c : user) is_unreserved(c) ? out += c : (append_encoded(out, c), out);
  return out;
}

// Percent-encoding brought to one form: unreserved characters bare, hex digits in upper case.
std::string normalize_encoding(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const int value = percent_value(text, i);
    if (value < 0) {
      out += text[i];
      continue;
    }
    const char c = static_cast<char>(value);
    is_unreserved(c) ? out += c : (append_encoded(out, c), out);
    i += 2;
  }
  return out;
}

// "." and ".." resolved, doubled and trailing slashes dropped; begins with one slash. What stands under "/~user"
// cannot climb out of it.
std::string normalize_segments(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    if (segment.empty() || segment == ".") continue;
    if (segment != "..") {
      segments.push_back(segment);
    } else if (!segments.empty() && (segments.size() > 1 || !segments[0].starts_with('~'))) {
      segments.pop_back();
    }
  }
  std::string out;
  for (const auto segment : segments) out.append("/").append(segment);
  return out.empty() ? "/" : out;
}

uint16_t default_port(RemoteScheme scheme) {
  switch (scheme) {
    case RemoteScheme::http:
      return 80;
    case RemoteScheme::https:
      return 443;
    case RemoteScheme::ssh:
      return 22;
    case RemoteScheme::git:
      return 9418;
    case RemoteScheme::local:
      return 0;
  }
  return 0;
}

std::string_view scheme_name(RemoteScheme scheme) {
  switch (scheme) {
    case RemoteScheme::http:
      return "http";
    case RemoteScheme::https:
      return "https";
    case RemoteScheme::ssh:
      return "ssh";
    case RemoteScheme::git:
      return "git";
    case RemoteScheme::local:
      return "file";
  }
  return "";
}

std::optional<RemoteScheme> scheme_of(std::string_view name) {
  const std::string scheme = lower(name);
  if (scheme == "http") return RemoteScheme::http;
  if (scheme == "https") return RemoteScheme::https;
  if (scheme == "ssh" || scheme == "git+ssh" || scheme == "ssh+git") return RemoteScheme::ssh;
  if (scheme == "git") return RemoteScheme::git;
  if (scheme == "file") return RemoteScheme::local;
  return std::nullopt;
}

bool is_http(RemoteScheme scheme) { return scheme == RemoteScheme::http || scheme == RemoteScheme::https; }

std::string bracketed(const std::string& host) { return host.find(':') == std::string::npos ? host : "[" + host + "]"; }

// One parse; `text` is shown in errors only by shown(), which leaves out user info.
class Parser {
 public:
  Parser(std::string_view text, std::string_view working_directory)
      : text_(text), working_directory_(working_directory) {}

  Result<RemoteUrl> parse() {
    if (text_.empty()) return refuse("it is empty");
    if (has_control(text_)) return refuse("it contains a control character");
    const size_t scheme_end = text_.find("://");
    if (scheme_end != std::string_view::npos && is_scheme(text_.substr(0, scheme_end))) return parse_url(scheme_end);
    const size_t colon = text_.find(':'), slash = text_.find('/');
    if (colon != std::string_view::npos && text_.substr(colon).starts_with("::") && is_scheme(text_.substr(0, colon))) {
      return refuse("remote helpers (\"helper::address\") are not supported");
    }
    // As git: a colon before the first slash makes it host:path, unless the colon belongs to "[::1]:path".
    if (text_.starts_with('[') || text_.find("@[") != std::string_view::npos ||
        (colon != std::string_view::npos && (slash == std::string_view::npos || colon < slash))) {
      if (slash == std::string_view::npos || colon < slash) return parse_scp();
    }
    return parse_path(text_);
  }

 private:
  static bool is_scheme(std::string_view name) {
    return !name.empty() &&
           std::ranges::all_of(name, [](char c) { return is_alphanumeric(c) || c == '+' || c == '-' || c == '.'; });
  }

  std::string shown() const {
    std::string out(text_);
    const size_t begin = out.find("://");
    if (begin != std::string::npos) {
      const size_t end = std::min(out.find('/', begin + 3), out.size());
      const size_t at = out.rfind('@', end);
      if (at != std::string::npos && at >= begin + 3) out.erase(begin + 3, at + 1 - (begin + 3));
    }
    for (char& c : out) {
      if (has_control({&c, 1})) c = '?';
    }
    return out;
  }

  std::unexpected<Error> refuse(std::string cause) const {
    return fail(ErrorCode::invalid_argument, "cannot use remote '" + shown() + "'", std::move(cause));
  }

  Result<RemoteUrl> parse_path(std::string_view path) {
    RemoteUrl url;
    url.scheme = RemoteScheme::local;
    url.path = path;
    if (!path.starts_with('/')) {
      url.path = std::string(working_directory_) + (working_directory_.ends_with('/') ? "" : "/") + std::string(path);
    }
    return url;
  }

  Result<RemoteUrl> parse_scp() {
    RemoteUrl url;
    url.scheme = RemoteScheme::ssh;
    url.scp_like = true;
    std::string_view rest = text_;
    // The host may be bracketed: [::1]:path, [host:port]:path, user@[::1]:path.
    const size_t bracket = rest.find('[');
    size_t colon = rest.find(':');
    if (bracket != std::string_view::npos && bracket < colon) {
      const size_t close = rest.find(']', bracket);
      if (close == std::string_view::npos || close + 1 >= rest.size() || rest[close + 1] != ':') {
        return refuse("after '[' a ']:' is missing");
      }
      colon = close + 1;
    }
    TRY(take_authority(url, rest.substr(0, colon)));
    url.path = rest.substr(colon + 1);
    return checked(std::move(url));
  }

  Result<RemoteUrl> parse_url(size_t scheme_end) {
    const auto scheme = scheme_of(text_.substr(0, scheme_end));
    if (!scheme) {
      return refuse("unknown scheme '" + std::string(text_.substr(0, scheme_end)) +
                    "' (known are https, http, ssh, git and file)");
    }
    std::string_view rest = text_.substr(scheme_end + 3);
    const size_t path_begin = std::min(rest.find_first_of(is_http(*scheme) ? "/?#" : "/"), rest.size());
    RemoteUrl url;
    url.scheme = *scheme;
    url.path = rest.substr(path_begin);
    const std::string_view authority = rest.substr(0, path_begin);
    if (*scheme == RemoteScheme::local) {
      if (!authority.empty() && lower(authority) != "localhost") {
        return refuse("a file URL must look like file:///path");
      }
      url.path = percent_decode(url.path);
      return checked(std::move(url));
    }
    TRY(take_authority(url, authority));
    if (!is_http(*scheme)) {
      url.path = percent_decode(url.path);
      if (url.path.starts_with("/~")) url.path.erase(0, 1);
    } else if (const size_t fragment = url.path.find('#'); fragment != std::string::npos) {
      return refuse("it has a fragment (#...)");
    } else if (url.path.starts_with('?')) {
      url.path.insert(0, "/");
    }
    return checked(std::move(url));
  }

  // [user[:password]@]host[:port]
  Result<void> take_authority(RemoteUrl& url, std::string_view authority) {
    const size_t at = authority.rfind('@');
    if (at != std::string_view::npos) {
      TRY(take_user(url, authority.substr(0, at)));
      authority.remove_prefix(at + 1);
    }
    std::string_view port;
    if (authority.starts_with('[')) {
      const size_t close = authority.find(']');
      if (close == std::string_view::npos) return refuse("']' is missing");
      const std::string_view inside = authority.substr(1, close - 1);
      const std::string_view after = authority.substr(close + 1);
      const bool is_ipv6 = std::ranges::count(inside, ':') != 1;  // "[host:port]:path" is git's own form
      url.host = is_ipv6 ? inside : inside.substr(0, inside.find(':'));
      if (!is_ipv6) port = inside.substr(inside.find(':') + 1);
      if (after.starts_with(':')) port = after.substr(1);
      if (!after.empty() && !after.starts_with(':')) return refuse("after ']' only a port may stand");
    } else {
      const size_t colon = url.scp_like ? std::string_view::npos : authority.find(':');
      url.host = authority.substr(0, colon);
      if (colon != std::string_view::npos) port = authority.substr(colon + 1);
    }
    if (!is_http(url.scheme)) url.host = url.scp_like ? url.host : percent_decode(url.host);
    return take_port(url, port);
  }

  Result<void> take_user(RemoteUrl& url, std::string_view user_info) {
    if (is_http(url.scheme)) {
      UrlCredentials credentials;
      const size_t colon = user_info.find(':');
      credentials.username = percent_decode(user_info.substr(0, colon));
      if (colon != std::string_view::npos) credentials.password = percent_decode(user_info.substr(colon + 1));
      if (has_control(credentials.username) || has_control(credentials.password.value_or(""))) {
        return refuse("its user name or password contains a control character");
      }
      if (!user_info.empty()) url.credentials = std::move(credentials);
      return {};
    }
    url.ssh_user = url.scp_like ? std::string(user_info) : percent_decode(user_info);
    if (url.ssh_user.find(':') != std::string::npos) return refuse("a password in an ssh URL is not supported");
    if (url.scheme == RemoteScheme::git) return refuse("git:// has no users");
    return {};
  }

  Result<void> take_port(RemoteUrl& url, std::string_view port) {
    if (port.empty()) return {};
    unsigned value = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), value);
    if (error != std::errc() || end != port.data() + port.size() || value == 0 || value > 65535) {
      return refuse("port '" + std::string(port) + "' is not a number from 1 to 65535");
    }
    url.port = static_cast<uint16_t>(value);
    return {};
  }

  // What could be taken for an option by ssh or git, or cut a line in two, is refused after decoding.
  Result<RemoteUrl> checked(RemoteUrl url) const {
    if (url.scheme == RemoteScheme::local) {
      if (has_control(url.path)) return refuse("its path contains a control character");
      if (url.path.empty()) return refuse("it has no path");
      return url;
    }
    if (url.host.empty()) return refuse("it has no host");
    if (url.host.starts_with('-')) return refuse("a host must not begin with '-'");
    if (url.ssh_user.starts_with('-')) return refuse("a user name must not begin with '-'");
    if (url.path.starts_with('-')) return refuse("a path must not begin with '-'");
    if (has_control(url.host) || url.host.find_first_of(" \"'\\<>`|{}^@/?#") != std::string::npos) {
      return refuse("its host contains a character that no host name has");
    }
    if (has_control(url.path)) return refuse("its path contains a control character");
    if (has_control(url.ssh_user)) return refuse("its user name contains a control character");
    if (!is_http(url.scheme) && (url.path.empty() || url.path == "/")) return refuse("it has no path");
    return url;
  }

  const std::string_view text_;
  const std::string_view working_directory_;
};

}  // namespace

std::string percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const int value = percent_value(text, i);
    out += value < 0 ? text[i] : static_cast<char>(value);
    if (value >= 0) i += 2;
  }
  return out;
}

Result<RemoteUrl> RemoteUrl::parse(std::string_view text, std::string_view working_directory) {
  return Parser(text, working_directory).parse();
}

std::string RemoteUrl::display() const {
  if (scheme == RemoteScheme::local) return path;
  std::string user = ssh_user.empty() ? "" : ssh_user + "@";
  if (scp_like) {
    const bool needs_brackets = port != 0 || host.find(':') != std::string::npos;
    const std::string name = port != 0 ? host + ":" + std::to_string(port) : host;
    return user + (needs_brackets ? "[" + name + "]" : name) + ":" + path;
  }
  std::string out(scheme_name(scheme));
  out += "://" + encode_raw_path(user) + bracketed(host);
  if (port != 0) out += ":" + std::to_string(port);
  if (is_http(scheme)) return out + path;
  return out + (path.starts_with('/') ? "" : "/") + encode_raw_path(path);
}

std::string RemoteUrl::canonical() const {
  if (scheme == RemoteScheme::local) return "file://" + normalize_segments(path);
  std::string out(scheme_name(scheme));
  out += "://";
  if (credentials && !credentials->username.empty()) out += encode_user(credentials->username) + "@";
  if (!ssh_user.empty()) out += encode_user(ssh_user) + "@";
  out += bracketed(lower(host));
  if (port != 0 && port != default_port(scheme)) out += ":" + std::to_string(port);
  if (is_http(scheme)) {
    const size_t query = std::min(path.find('?'), path.size());
    return out + normalize_segments(normalize_encoding(path.substr(0, query))) + path.substr(query);
  }
  // Over ssh a relative path starts in the home directory, as "~/" does.
  const bool relative = scheme == RemoteScheme::ssh && !path.starts_with('/') && !path.starts_with('~');
  return out + normalize_segments(encode_raw_path((relative ? "~/" : "") + path));
}

}  // namespace artifactfs
