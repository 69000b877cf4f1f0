// What only HTTP has: statuses, redirects, credentials, certificates, proxies, git's http.* settings.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/fetch_transport/remotes.h"

namespace artifactfs::test {
namespace {

using testing::Each;
using testing::Field;
using testing::HasSubstr;
using testing::Not;

class HttpTransportTest : public testing::Test {
 protected:
  HttpTransportTest() {
    GitRepository repository(directory_ / "source");
    repository.write_file("README", "hello\n");
    head_ = repository.commit("first");
    repository.bare_clone(directory_ / "served/repo.git", {.update_server_info = true});
    server_ = std::make_unique<GitHttpServer>(directory_ / "served", HttpServerOptions{.tls = true});
    set_environment_value(context_.environment, "HOME", directory_.path().string());
  }

  std::unique_ptr<Transport> open(const std::string& url) {
    auto remote = RemoteUrl::parse(url);
    if (!remote) throw std::runtime_error(remote.error().text());
    auto transport = make_transport(*remote, context_);
    if (!transport) throw std::runtime_error(transport.error().text());
    return std::move(*transport);
  }

  std::string advertisement(const std::string& url) {
    const auto transport = open(url);
    auto response = transport->advertisement();
    return response ? read_all(**response) : response.error().text();
  }

  ErrorCode failure(const std::string& url, std::string* text) {
    const auto transport = open(url);
    return failure_of(transport->advertisement(), text);
  }

  std::string with_user(std::string url, const std::string& user_info) {
    return url.insert(url.find("://") + 3, user_info + "@");
  }

  /// A credential helper that answers with `password` and writes down what it is told.
  void add_helper(const std::string& password) {
    const auto script = directory_ / "helper";
    std::ofstream(script) << "#!/bin/sh\necho \"$1\" >>" << (directory_ / "told").string()
                          << "\ncat >/dev/null\n[ \"$1\" = get ] && printf 'username=alice\\npassword=" << password
                          << "\\n'\nexit 0\n";
    std::filesystem::permissions(script, std::filesystem::perms(0755));
    add_config(context_, "credential.helper", script.string());
  }

  std::string told() { return read_file(directory_ / "told").value_or(""); }

  TemporaryDirectory directory_;
  std::unique_ptr<GitHttpServer> server_;
  TransportContext context_ = test_context();
  std::string head_;
};

TEST_F(HttpTransportTest, StatusesAreTold) {
  std::string text;
  EXPECT_EQ(failure(server_->url("status/401/repo.git"), &text), ErrorCode::unauthorized);
  EXPECT_EQ(failure(server_->url("status/403/repo.git"), &text), ErrorCode::forbidden);
  EXPECT_THAT(text, HasSubstr("(HTTP 403)"));
  EXPECT_EQ(failure(server_->url("status/404/repo.git"), &text), ErrorCode::not_found);
  EXPECT_EQ(failure(server_->url("status/500/repo.git"), &text), ErrorCode::unavailable);
  EXPECT_THAT(text, HasSubstr("(HTTP 500)"));
  EXPECT_EQ(failure(server_->url("html/repo.git"), &text), ErrorCode::protocol);
  EXPECT_THAT(text, HasSubstr("web page"));
  EXPECT_EQ(failure(server_->url("dumb/repo.git"), &text), ErrorCode::not_supported);
  const auto transport = open(server_->url("post-500/repo.git"));
  EXPECT_EQ(failure_of(transport->command(ls_refs_command()), &text), ErrorCode::unavailable) << text;
}

TEST_F(HttpTransportTest, RetryAfterIsRemembered) {
  const auto transport = open(server_->url("status/429/repo.git"));
  std::string text;
  EXPECT_EQ(failure_of(transport->advertisement(), &text), ErrorCode::unavailable);
  EXPECT_THAT(text, HasSubstr("7 s"));
  EXPECT_GT(transport->not_before(), Clock::system().now());
}

TEST_F(HttpTransportTest, OldServersAnswerIsHandedThrough) {
  const std::string text = advertisement(server_->url("old/repo.git"));
  EXPECT_THAT(text, HasSubstr(head_ + " HEAD"));
  EXPECT_THAT(text, Not(HasSubstr("# service")));
}

TEST_F(HttpTransportTest, RedirectMovesTheTransport) {
  const auto transport = open(server_->url("redirect/repo.git"));
  auto response = transport->advertisement();
  ASSERT_TRUE(response);
  EXPECT_THAT(read_all(**response), HasSubstr("version 2"));
  response = transport->command(ls_refs_command());
  ASSERT_TRUE(response);
  EXPECT_THAT(read_all(**response), HasSubstr(head_));
  EXPECT_EQ(server_->wait_for_requests(3)[2].target, "/repo.git/git-upload-pack");
  std::string text;
  EXPECT_EQ(failure(server_->url("redirect-loop/repo.git"), &text), ErrorCode::protocol) << text;
  add_config(context_, "http.followRedirects", "false");
  EXPECT_EQ(failure(server_->url("redirect/repo.git"), &text), ErrorCode::protocol) << text;
  EXPECT_THAT(text, HasSubstr("http.followRedirects"));
}

TEST_F(HttpTransportTest, SecretsDoNotFollowARedirectToAnotherServer) {
  add_config(context_, "http.extraHeader", "Authorization: Bearer abc");
  EXPECT_THAT(advertisement(with_user(server_->url("redirect-host/repo.git"), "alice:secret")), HasSubstr("version 2"));
  const auto log = server_->wait_for_requests(2);
  EXPECT_TRUE(log[0].authorization);
  EXPECT_EQ(log[1].host, fmt::format("localhost:{}", server_->port()));
  EXPECT_FALSE(log[1].authorization);
}

TEST_F(HttpTransportTest, CredentialsOfTheUrlAreSentAtOnce) {
  const std::string url = with_user(server_->url("auth/repo.git"), "alice:s3cret%26word");
  EXPECT_THAT(advertisement(url), HasSubstr("version 2"));
  EXPECT_EQ(server_->wait_for_requests(1)[0].status, 200);
  std::string text;
  EXPECT_EQ(failure(with_user(server_->url("auth/repo.git"), "alice:wrong"), &text), ErrorCode::unauthorized);
  EXPECT_THAT(text, Not(HasSubstr("wrong")));
}

TEST_F(HttpTransportTest, CredentialHelperIsAskedOnceAndToldOfSuccess) {
  add_helper("s3cret&word");
  const auto transport = open(server_->url("auth/repo.git"));
  for (int i = 0; i < 3; ++i) {
    auto response = transport->command(ls_refs_command());
    ASSERT_TRUE(response);
    EXPECT_THAT(read_all(**response), HasSubstr(head_));
  }
  EXPECT_EQ(told(), "get\nstore\n");
}

TEST_F(HttpTransportTest, RefusedCredentialsAreRejected) {
  add_helper("wrong");
  std::string text;
  EXPECT_EQ(failure(server_->url("auth/repo.git"), &text), ErrorCode::unauthorized) << text;
  EXPECT_EQ(told(), "get\nerase\n");
  EXPECT_THAT(text, Not(HasSubstr("wrong")));
}

TEST_F(HttpTransportTest, NetrcIsUsed) {
  std::ofstream(directory_ / ".netrc") << "machine 127.0.0.1 login alice password s3cret&word\n";
  EXPECT_THAT(advertisement(server_->url("auth/repo.git")), HasSubstr("version 2"));
}

TEST_F(HttpTransportTest, LargeRequestsAreCompressed) {
  const auto transport = open(server_->url("repo.git"));
  std::string request = fetch_command(head_);
  const std::string have = "0032have 1234567890123456789012345678901234567890\n";
  for (int i = 0; i < 100; ++i) request.insert(request.find("0009done"), have);
  auto response = transport->command(request);
  ASSERT_TRUE(response);
  EXPECT_THAT(read_all(**response), HasSubstr("PACK"));
  EXPECT_EQ(server_->wait_for_requests(1)[0].content_encoding, "gzip");
}

TEST_F(HttpTransportTest, SettingsOfGitHold) {
  std::string text;
  EXPECT_EQ(failure(server_->url("header/repo.git"), &text), ErrorCode::forbidden);
  add_config(context_, "http.extraHeader", "X-Other: 1");
  add_config(context_, "http." + server_->url("") + ".extraHeader", "X-Artifactfs-Test: yes");
  add_config(context_, "http.userAgent", "tester/1");
  EXPECT_THAT(advertisement(server_->url("header/repo.git")), HasSubstr("version 2"));
  EXPECT_EQ(server_->wait_for_requests(2)[1].user_agent, "tester/1");
  add_config(context_, "url." + server_->url("") + ".insteadOf", "https://short.example/");
  EXPECT_THAT(advertisement("https://short.example/repo.git"), HasSubstr("version 2"));
}

TEST_F(HttpTransportTest, ProxyIsUsed) {
  add_config(context_, "http.proxy", fmt::format("http://127.0.0.1:{}", server_->port()));
  EXPECT_THAT(advertisement("http://nowhere.invalid/repo.git"), HasSubstr("version 2"));
  EXPECT_EQ(server_->wait_for_requests(1)[0].host, "nowhere.invalid");
  set_environment_value(context_.environment, "NO_PROXY", "nowhere.invalid");
  std::string text;
  EXPECT_EQ(failure("http://nowhere.invalid/repo.git", &text), ErrorCode::unavailable);
  EXPECT_THAT(text, HasSubstr("resolve"));
}

TEST_F(HttpTransportTest, CertificatesAreChecked) {
  std::string text;
  EXPECT_EQ(failure(server_->tls_url("repo.git"), &text), ErrorCode::unavailable);
  EXPECT_THAT(text, HasSubstr("certificate is not trusted"));
  add_config(context_, "http.sslCAInfo", server_->ca_file().string());
  EXPECT_THAT(advertisement(server_->tls_url("repo.git")), HasSubstr("version 2"));
  EXPECT_EQ(server_->wait_for_requests(1).back().http_version, "HTTP/2.0");
}

TEST_F(HttpTransportTest, CertificateCheckCanBeSwitchedOff) {
  add_config(context_, "http.sslVerify", "false");
  add_config(context_, "http.version", "HTTP/1.1");
  EXPECT_THAT(advertisement(server_->tls_url("repo.git")), HasSubstr("version 2"));
  EXPECT_EQ(server_->wait_for_requests(1).back().http_version, "HTTP/1.1");
}

TEST_F(HttpTransportTest, AskIsGitsOwn) {
  EXPECT_THAT(advertisement(server_->url("repo.git")), HasSubstr("version 2"));
  const auto log = server_->wait_for_requests(1);
  EXPECT_EQ(log[0].target, "/repo.git/info/refs?service=git-upload-pack");
  EXPECT_THAT(log, Each(Field(&AccessLogEntry::git_protocol, "version=2")));
}

}  // namespace
}  // namespace artifactfs::test
