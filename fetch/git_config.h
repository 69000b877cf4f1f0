// GitConfig: what git's configuration (system, global, GIT_CONFIG_COUNT...) says about reaching servers. Read once by
// one `git config --list` (about 2 ms), run as the user, outside of any repository, and then asked without processes.
//
// Immutable after load(); thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/subprocess.h"
#include "fetch/transport.h"

namespace artifactfs {

/// http.followRedirects.
enum class FollowRedirects : uint8_t { never, initial, always };

/// The http.* settings that hold for one URL, the environment's GIT_SSL_* and *_proxy variables already applied (they
/// come from the user's environment, never from the daemon's).
struct HttpSettings {
  std::optional<std::string> proxy;  // as curl takes it; nullopt: go there directly
  std::string no_proxy;              // hosts that are reached directly, comma-separated
  bool ssl_verify = true;
  std::string ssl_ca_info, ssl_ca_path, ssl_cert, ssl_key;  // paths; empty: unset
  std::vector<std::string> extra_headers;                   // http.extraHeader, in order; may hold secrets
  std::vector<std::string> url_headers;  // those of them that stand in http.<url>: meant for this very server
  std::string user_agent;
  std::string cookie_file;
  FollowRedirects follow_redirects = FollowRedirects::initial;
  std::string version;           // "HTTP/1.1", "HTTP/2" or empty
  uint32_t low_speed_limit = 0;  // bytes a second; 0: unset
  uint32_t low_speed_time = 0;   // seconds
};

class GitConfig {
 public:
  /// Fails when git cannot be run or its configuration cannot be parsed.
  static Result<GitConfig> load(const TransportContext& context);
  /// From the output of `git config --null --list`; for load() and tests.
  static GitConfig from_list(std::string_view list, Environment environment);

  /// `url` after url.<base>.insteadOf: the longest matching prefix is replaced.
  std::string instead_of(std::string_view url) const;

  HttpSettings http_settings(std::string_view url) const;

  /// core.sshCommand and ssh.variant, if set.
  std::optional<std::string> ssh_command() const { return last("core.sshcommand"); }
  std::optional<std::string> ssh_variant() const { return last("ssh.variant"); }

 private:
  struct Entry {
    std::string key;                   // section and name in lower case: "http.https://Host/.sslverify"
    std::optional<std::string> value;  // nullopt: the key alone, which means true
  };
  std::optional<std::string> last(std::string_view key) const;
  std::string expand_path(std::string path) const;
  void apply(HttpSettings& settings, std::string_view name, const Entry& entry, bool for_url) const;
  void apply_environment(HttpSettings& settings, std::string_view url) const;

  std::vector<Entry> entries_;
  Environment environment_;
};

}  // namespace artifactfs
