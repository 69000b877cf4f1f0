// What only connections that keep state have: which ssh is run and how, old servers, what children complain about.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/fetch_transport/remotes.h"

namespace artifactfs::test {
namespace {

using testing::HasSubstr;

class StreamTransportTest : public testing::Test {
 protected:
  StreamTransportTest() {
    GitRepository repository(directory_ / "it's here/source");
    repository.write_file("README", "hello\n");
    head_ = repository.commit("first");
    repository_ = (directory_ / "it's here/repo.git").string();
    repository.bare_clone(repository_);
  }

  /// A stand-in for ssh: writes its arguments down and runs the command here.
  std::string fake_ssh(const std::string& name, const std::string& first_line = "") {
    const auto script = directory_ / name;
    std::ofstream(script) << "#!/bin/sh\n"
                          << first_line << "\nfor a; do printf '%s\\n' \"$a\" >>'"
                          << (directory_ / "arguments").string()
                          << "'; last=$a; done\n[ \"$1\" = -G ] && exit 1\neval \"exec $last\"\n";
    std::filesystem::permissions(script, std::filesystem::perms(0755));
    return script.string();
  }

  std::string advertisement(const std::string& url, std::string* failed = nullptr) {
    auto transport = make_transport(*RemoteUrl::parse(url), context_);
    if (!transport) return transport.error().text();
    if (failed != nullptr) failure_of((*transport)->advertisement(), failed);
    auto response = (*transport)->advertisement();
    return response ? read_all(**response) : response.error().text();
  }

  TemporaryDirectory directory_;
  TransportContext context_ = test_context();
  std::string repository_, head_;
};

TEST_F(StreamTransportTest, OpensshGetsGitsOptions) {
  set_environment_value(context_.environment, "GIT_SSH_COMMAND", fake_ssh("ssh") + " -i 'my key'");
  EXPECT_THAT(advertisement("ssh://me@example.invalid:2222" + repository_), HasSubstr("version 2"));
  const std::string quoted = "'" + repository_.substr(0, repository_.find('\'')) + "'\\''s here/repo.git'";
  EXPECT_EQ(*read_file(directory_ / "arguments"),
            "-i\nmy key\n-o\nSendEnv=GIT_PROTOCOL\n-o\nBatchMode=yes\n-p\n2222\nme@example.invalid\ngit-upload-pack " +
                quoted + "\n");
}

TEST_F(StreamTransportTest, UnknownSshIsProbedAndTakenAsSimple) {
  add_config(context_, "core.sshCommand", fake_ssh("other"));
  EXPECT_THAT(advertisement("example.invalid:" + repository_), HasSubstr("version 2"));
  EXPECT_THAT(*read_file(directory_ / "arguments"), HasSubstr("-G\nexample.invalid\nexample.invalid\ngit-upload-pack"));
  EXPECT_THAT(advertisement("ssh://example.invalid:22" + repository_), HasSubstr("cannot be told a port"));
}

TEST_F(StreamTransportTest, PlinkGetsItsOwnPortOption) {
  set_environment_value(context_.environment, "GIT_SSH", fake_ssh("plink"));
  EXPECT_THAT(advertisement("ssh://example.invalid:2222" + repository_), HasSubstr("version 2"));
  EXPECT_THAT(*read_file(directory_ / "arguments"), HasSubstr("-batch\n-P\n2222\nexample.invalid\n"));
}

TEST_F(StreamTransportTest, OldServersAnswerIsHandedThrough) {
  set_environment_value(context_.environment, "GIT_SSH_COMMAND", fake_ssh("ssh", "unset GIT_PROTOCOL"));
  EXPECT_THAT(advertisement("ssh://example.invalid" + repository_), HasSubstr(head_ + " HEAD"));
}

TEST_F(StreamTransportTest, WhatSshSaysIsTheCause) {
  set_environment_value(context_.environment, "GIT_SSH_COMMAND",
                        fake_ssh("ssh", "echo 'me@host: Permission denied (publickey).' >&2; exit 255"));
  std::string text;
  advertisement("ssh://example.invalid" + repository_, &text);
  EXPECT_THAT(text, HasSubstr("Permission denied (publickey)"));
}

TEST_F(StreamTransportTest, LocalDirectoryThatIsNoRepositoryIsNotFound) {
  std::string text;
  auto transport = make_transport(*RemoteUrl::parse((directory_ / "it's here").string()), context_);
  ASSERT_TRUE(transport);
  EXPECT_EQ(failure_of((*transport)->advertisement(), &text), ErrorCode::not_found) << text;
}

TEST_F(StreamTransportTest, SomebodyElsesRepositoryIsRefusedAsGitDoes) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make another user's repository";
  ASSERT_EQ(::chown(repository_.c_str(), 12345, 12345), 0);
  std::string text;
  auto transport = make_transport(*RemoteUrl::parse(repository_), context_);
  ASSERT_TRUE(transport);
  EXPECT_EQ(failure_of((*transport)->advertisement(), &text), ErrorCode::permission_denied) << text;
}

}  // namespace
}  // namespace artifactfs::test
