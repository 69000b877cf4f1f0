#include "fetch/git_config.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>

#include "fetch/url_match.h"

namespace artifactfs {

namespace {

constexpr std::chrono::seconds kConfigTimeout{10};

bool as_bool(const std::optional<std::string>& value) {
  if (!value) return true;
  std::string text = *value;
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text != "false" && text != "no" && text != "off" && text != "0" && !text.empty();
}

// Git's integers may end in k, m or g.
uint32_t as_number(const std::string& text) {
  uint64_t value = 0;
  const char* end_of_text = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), end_of_text, value);
  if (error != std::errc()) return 0;
  const char unit = end == end_of_text ? '\0' : static_cast<char>(*end | 0x20);
  const int shift = unit == 'k' ? 10 : unit == 'm' ? 20 : unit == 'g' ? 30 : 0;
  return static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX >> shift) << shift);
}

// Of several names the first that is set and not empty.
std::optional<std::string> first_set(const Environment& environment, std::initializer_list<std::string_view> names) {
  for (const auto name : names) {
    if (auto value = environment_value(environment, name); value && !value->empty()) return value;
  }
  return std::nullopt;
}

}  // namespace

Result<GitConfig> GitConfig::load(const TransportContext& context) {
  SubprocessOptions options;
  options.argv = {"git", "config", "--null", "--includes", "--list"};
  options.environment = context.environment;
  options.working_directory = context.working_directory;
  options.user = context.user;
  TRY_ASSIGN(const SubprocessOutput output, run_subprocess(options, {}, Clock::system().now() + kConfigTimeout));
  if (output.status != 0) {
    return fail(ErrorCode::invalid_argument, "cannot read git's configuration", output.err);
  }
  return from_list(output.out, context.environment);
}

GitConfig GitConfig::from_list(std::string_view list, Environment environment) {
  GitConfig config;
  config.environment_ = std::move(environment);
  while (!list.empty()) {
    const size_t end = std::min(list.find('\0'), list.size());
    const std::string_view entry = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    const size_t newline = entry.find('\n');
    Entry parsed{std::string(entry.substr(0, newline)), std::nullopt};
    if (newline != std::string_view::npos) parsed.value = entry.substr(newline + 1);
    config.entries_.push_back(std::move(parsed));
  }
  return config;
}

std::optional<std::string> GitConfig::last(std::string_view key) const {
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    if (entry->key == key) return entry->value.value_or("true");
  }
  return std::nullopt;
}

std::string GitConfig::instead_of(std::string_view url) const {
  constexpr std::string_view kSection = "url.", kName = ".insteadof";
  const Entry* best = nullptr;
  for (const auto& entry : entries_) {
    if (!entry.key.starts_with(kSection) || !entry.key.ends_with(kName) || !entry.value || entry.value->empty())
      continue;
    if (url.starts_with(*entry.value) && (best == nullptr || entry.value->size() > best->value->size())) best = &entry;
  }
  if (best == nullptr) return std::string(url);
  return best->key.substr(kSection.size(), best->key.size() - kSection.size() - kName.size()) +
         std::string(url.substr(best->value->size()));
}

std::string GitConfig::expand_path(std::string path) const {
  if (!path.starts_with("~/")) return path;
  return environment_value(environment_, "HOME").value_or("") + path.substr(1);
}

// As git's urlmatch.c: entries are taken in order, and one that fits worse than one already taken for the same name is
// passed over. So http.extraHeader followed by http.<url>.extraHeader gives both.
HttpSettings GitConfig::http_settings(std::string_view url) const {
  HttpSettings settings;
  std::map<std::string, UrlMatch, std::less<>> taken;
  for (const auto& entry : entries_) {
    constexpr std::string_view kSection = "http.";
    if (!entry.key.starts_with(kSection)) continue;
    const size_t dot = entry.key.rfind('.');
    const std::string name = entry.key.substr(dot + 1);
    UrlMatch match;
    const bool for_url = dot >= kSection.size();
    if (for_url) {
      const auto found = match_url(std::string_view(entry.key).substr(kSection.size(), dot - kSection.size()), url);
      if (!found) continue;
      match = *found;
    }
    const auto [previous, first] = taken.emplace(name, match);
    if (!first && match < previous->second) continue;
    previous->second = match;
    apply(settings, name, entry, for_url);
  }
  apply_environment(settings, url);
  return settings;
}

void GitConfig::apply(HttpSettings& settings, std::string_view name, const Entry& entry, bool for_url) const {
  const std::string value = entry.value.value_or("");
  if (name == "proxy") settings.proxy = value;
  if (name == "sslverify") settings.ssl_verify = as_bool(entry.value);
  if (name == "sslcainfo") settings.ssl_ca_info = expand_path(value);
  if (name == "sslcapath") settings.ssl_ca_path = expand_path(value);
  if (name == "sslcert") settings.ssl_cert = expand_path(value);
  if (name == "sslkey") settings.ssl_key = expand_path(value);
  if (name == "useragent") settings.user_agent = value;
  if (name == "cookiefile") settings.cookie_file = expand_path(value);
  if (name == "version") settings.version = value;
  if (name == "lowspeedlimit") settings.low_speed_limit = as_number(value);
  if (name == "lowspeedtime") settings.low_speed_time = as_number(value);
  if (name == "followredirects") {
    settings.follow_redirects = value == "initial"     ? FollowRedirects::initial
                                : as_bool(entry.value) ? FollowRedirects::always
                                                       : FollowRedirects::never;
  }
  if (name == "extraheader" && value.empty()) {  // an empty value forgets those before it
    settings.extra_headers.clear();
    settings.url_headers.clear();
  } else if (name == "extraheader") {
    settings.extra_headers.push_back(value);
    if (for_url) settings.url_headers.push_back(value);
  }
}

void GitConfig::apply_environment(HttpSettings& settings, std::string_view url) const {
  if (environment_value(environment_, "GIT_SSL_NO_VERIFY")) settings.ssl_verify = false;
  if (auto value = first_set(environment_, {"GIT_SSL_CAINFO"})) settings.ssl_ca_info = *value;
  if (auto value = first_set(environment_, {"GIT_SSL_CAPATH"})) settings.ssl_ca_path = *value;
  if (auto value = first_set(environment_, {"GIT_SSL_CERT"})) settings.ssl_cert = *value;
  if (auto value = first_set(environment_, {"GIT_SSL_KEY"})) settings.ssl_key = *value;
  settings.no_proxy = first_set(environment_, {"no_proxy", "NO_PROXY"}).value_or("");
  if (settings.proxy) {
    if (settings.proxy->empty()) settings.proxy.reset();  // git: an empty http.proxy switches the variables off
    return;
  }
  // As curl: HTTP_PROXY in capitals does not count, for a CGI's client could set it.
  settings.proxy = url.starts_with("https:") ? first_set(environment_, {"https_proxy", "HTTPS_PROXY"})
                                             : first_set(environment_, {"http_proxy"});
  if (!settings.proxy) settings.proxy = first_set(environment_, {"all_proxy", "ALL_PROXY"});
}

}  // namespace artifactfs
