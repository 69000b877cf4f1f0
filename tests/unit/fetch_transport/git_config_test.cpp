#include "fetch/git_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fetch/url_match.h"
#include "tests/harness/command.h"
#include "tests/harness/git_repository.h"

namespace artifactfs {
namespace {

using testing::ElementsAre;

std::string entry(const std::string& key, const std::string& value) { return key + "\n" + value + '\0'; }

TEST(GitConfigTest, ExtraHeadersAddUpFromGenericToSpecific) {
  const auto config =
      GitConfig::from_list(entry("http.extraheader", "A: 1") + entry("http.https://host/.extraheader", "B: 2") +
                               entry("http.https://other/.extraheader", "C: 3"),
                           {});
  EXPECT_THAT(config.http_settings("https://host/x").extra_headers, ElementsAre("A: 1", "B: 2"));
  EXPECT_THAT(config.http_settings("https://host/x").url_headers, ElementsAre("B: 2"));
  EXPECT_THAT(config.http_settings("https://third/x").extra_headers, ElementsAre("A: 1"));
}

TEST(GitConfigTest, LongestInsteadOfWins) {
  const auto config =
      GitConfig::from_list(entry("url.https://a/.insteadof", "gh:") + entry("url.ssh://b/.insteadof", "gh:org/"), {});
  EXPECT_EQ(config.instead_of("gh:x"), "https://a/x");
  EXPECT_EQ(config.instead_of("gh:org/x"), "ssh://b/x");
  EXPECT_EQ(config.instead_of("https://c/"), "https://c/");
}

TEST(GitConfigTest, TheUsersEnvironmentCounts) {
  const auto config =
      GitConfig::from_list(std::string("http.sslverify\0", 15) + entry("http.sslcainfo", "~/ca.pem"),
                           {"HOME=/home/u", "https_proxy=http://p:1", "no_proxy=a,b", "GIT_SSL_CERT=/c"});
  const auto settings = config.http_settings("https://host/");
  EXPECT_TRUE(settings.ssl_verify);
  EXPECT_EQ(settings.ssl_ca_info, "/home/u/ca.pem");
  EXPECT_EQ(settings.ssl_cert, "/c");
  EXPECT_EQ(settings.proxy, "http://p:1");
  EXPECT_EQ(settings.no_proxy, "a,b");
  EXPECT_FALSE(config.http_settings("http://host/").proxy);
}

// The oracle is git itself.
TEST(UrlMatchTest, AgreesWithGit) {
  const std::vector<std::string> patterns = {
      "https://example.com",        "https://example.com/",      "https://example.com:443/a",  "https://example.com/a",
      "https://example.com/a/b",    "https://example.com/ab",    "https://*.example.com",      "https://*.com",
      "https://sub.example.com",    "https://user@example.com/", "https://user@example.com/a", "http://example.com",
      "https://example.com:8443/a", "https://EXAMPLE.com/a"};
  const std::vector<std::string> urls = {"https://example.com/a/b/c",    "https://example.com:8443/a",
                                         "https://user@example.com/a",   "https://sub.example.com/",
                                         "https://other@example.com/ab", "http://example.com:80/x"};
  for (const auto& url : urls) {
    for (const auto& pattern : patterns) {
      std::string found;
      try {
        found = test::run(
            {"git", "-c", "http." + pattern + ".userAgent=x", "config", "--get-urlmatch", "http.userAgent", url},
            test::git_environment());
      } catch (const std::runtime_error&) {
        found.clear();
      }
      EXPECT_EQ(match_url(pattern, url).has_value(), found == "x\n") << pattern << " on " << url;
    }
  }
}

}  // namespace
}  // namespace artifactfs
