#include "fetch/remote_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace artifactfs {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(RemoteUrlTest, Canonicalizes) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"https://Example.COM:443/a/./b/../c//repo.git/", "https://example.com/a/c/repo.git"},
      {"https://bob:pw@example.com/r", "https://bob@example.com/r"},
      {"HTTP://example.com:80/%7euser/r%2fx", "http://example.com/~user/r%2Fx"},
      {"http://example.com:8080/r", "http://example.com:8080/r"},
      {"https://[::1]:8443/r", "https://[::1]:8443/r"},
      {"git@example.com:owner/repo.git", "ssh://git@example.com/~/owner/repo.git"},
      {"ssh://git@example.com/~/owner/repo.git", "ssh://git@example.com/~/owner/repo.git"},
      {"ssh://git@example.com:22/owner/repo.git", "ssh://git@example.com/owner/repo.git"},
      {"ssh://host/~bob/../x", "ssh://host/~bob/x"},
      {"git+ssh://host/a%20b", "ssh://host/a%20b"},
      {"[::1]:x/y", "ssh://[::1]/~/x/y"},
      {"me@[host:2222]:x", "ssh://me@host:2222/~/x"},
      {"git://host:9418/r/", "git://host/r"},
      {"/srv//git/../x/", "file:///srv/x"},
      {"file:///srv/x%20y", "file:///srv/x y"},
      {"x/y", "file:///work/x/y"},
      {"./a:b", "file:///work/a:b"},
  };
  for (const auto& [text, canonical] : table) {
    const auto url = RemoteUrl::parse(text, "/work");
    ASSERT_TRUE(url) << text << ": " << url.error().text();
    EXPECT_EQ(url->canonical(), canonical) << text;
    const auto again = RemoteUrl::parse(url->display(), "/work");
    ASSERT_TRUE(again) << url->display();
    if (!url->credentials) {
      EXPECT_EQ(again->canonical(), canonical) << url->display();
    }
  }
}

TEST(RemoteUrlTest, RefusesWhatCouldBeMisread) {
  for (const std::string text : {"",
                                 "https://",
                                 "https:///path",
                                 "ftp://host/x",
                                 "ext::sh -c x",
                                 "ssh://-oProxyCommand=x/y",
                                 "-host:path",
                                 "host:-path",
                                 "ssh://host/~-x%0a",
                                 "https://host/a\nb",
                                 "https://u:p%0aq@host/",
                                 "ssh://host%0a/x",
                                 "git://host",
                                 "https://host:0/x",
                                 "https://host:65536/x",
                                 "https://host:1x/x",
                                 "file://other/x",
                                 "ssh://-u@host/x",
                                 "https://ho st/x",
                                 "https://host/x#y",
                                 "ssh://host",
                                 "ssh://%2doProxyCommand=x/y",
                                 "[::1:x",
                                 "git://u@h/x"}) {
    const auto url = RemoteUrl::parse(text);
    ASSERT_FALSE(url) << text << " became " << url->display();
    EXPECT_EQ(url.error().code, ErrorCode::invalid_argument) << text;
  }
}

TEST(RemoteUrlTest, ShowsNoCredentials) {
  const auto url = RemoteUrl::parse("https://bob:s%40cret@host/r");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->credentials->username, "bob");
  EXPECT_EQ(url->credentials->password, "s@cret");
  EXPECT_EQ(url->display(), "https://host/r");
  EXPECT_THAT(RemoteUrl::parse("https://bob:secret@host:99999/r").error().text(), Not(HasSubstr("secret")));
}

TEST(RemoteUrlTest, KeepsWhatIsSent) {
  EXPECT_EQ(RemoteUrl::parse("ssh://h/~bob/x")->path, "~bob/x");
  EXPECT_EQ(RemoteUrl::parse("ssh://h/a%2Fb%20c")->path, "/a/b c");
  EXPECT_EQ(RemoteUrl::parse("https://h/a%2Fb")->path, "/a%2Fb");
  EXPECT_EQ(RemoteUrl::parse("u@h:a%2Fb")->path, "a%2Fb");
  EXPECT_EQ(RemoteUrl::parse("u@h:x")->display(), "u@h:x");
  EXPECT_EQ(percent_decode("%41%zz%4"), "A%zz%4");
}

}  // namespace
}  // namespace artifactfs
