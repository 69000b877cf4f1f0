#include "fetch/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "tests/harness/git_repository.h"
#include "tests/harness/temporary_directory.h"

namespace artifactfs {
namespace {

using testing::HasSubstr;

class CredentialsTest : public testing::Test {
 protected:
  void use_helper(const std::string& body) {
    const auto script = directory_ / "helper";
    std::ofstream(script) << "#!/bin/sh\n{ echo \"== $1\"; cat; } >>'" << (directory_ / "log").string() << "'\n"
                          << body;
    std::filesystem::permissions(script, std::filesystem::perms(0755));
    context_.environment = without_git_variables(test::git_environment());
    set_environment_value(context_.environment, "GIT_CONFIG_COUNT", "1");
    set_environment_value(context_.environment, "GIT_CONFIG_KEY_0", "credential.helper");
    set_environment_value(context_.environment, "GIT_CONFIG_VALUE_0", script.string());
  }
  std::string log() { return read_file(directory_ / "log").value_or(""); }

  test::TemporaryDirectory directory_;
  TransportContext context_;
  const CredentialQuestion question_{"https", "host:8443", "owner/r.git", ""};
};

TEST_F(CredentialsTest, HelperIsAskedAndTold) {
  use_helper("[ \"$1\" = get ] && printf 'username=u\\npassword=p=q\\n'\nexit 0\n");
  const CredentialHelper helper(context_);
  const auto found = helper.fill(question_, {});
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->username, "u");
  EXPECT_EQ((*found)->password, "p=q");
  helper.approve(question_, **found);
  helper.reject(question_, **found);
  EXPECT_THAT(log(), HasSubstr("== get\nprotocol=https\nhost=host:8443\n"));
  EXPECT_THAT(log(), HasSubstr("== store\n"));
  EXPECT_THAT(log(), HasSubstr("== erase\n"));
}

TEST_F(CredentialsTest, NobodyKnows) {
  use_helper("exit 0\n");
  const auto found = CredentialHelper(context_).fill(question_, {});
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_FALSE(*found);
}

TEST_F(CredentialsTest, LineBreaksAreRefused) {
  use_helper("exit 0\n");
  auto question = question_;
  question.path = "x\nhost=evil";
  EXPECT_FALSE(CredentialHelper(context_).fill(question, {}));
}

TEST_F(CredentialsTest, CancelEndsAHangingHelper) {
  use_helper("exec sleep 100\n");
  const auto found = CredentialHelper(context_).fill(question_, [] { return true; });
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::cancelled);
}

TEST_F(CredentialsTest, WhatSomebodyElseWasRefusedWithIsForgotten) {
  use_helper("exit 0\n");
  Authenticator authenticator(context_, question_, Credential{"u", "p"});
  authenticator.forget({"u", "other"});
  EXPECT_TRUE(authenticator.current().credential);
  const uint64_t before = authenticator.current().generation;
  authenticator.forget({"u", "p"});
  EXPECT_FALSE(authenticator.current().credential);
  EXPECT_NE(authenticator.current().generation, before);
  EXPECT_EQ(log(), "") << "who was refused has told the helpers";
}

TEST_F(CredentialsTest, ConcurrentRefusalsAskOnce) {
  use_helper("[ \"$1\" = get ] && printf 'username=u\\npassword=p\\n'\nexit 0\n");
  Authenticator authenticator(context_, question_, std::nullopt);
  std::vector<std::future<bool>> refused;
  for (int i = 0; i < 4; ++i) {
    refused.push_back(std::async(std::launch::async, [&] {
      const auto now = authenticator.after_refusal(0, {});
      return now && now->credential && now->credential->password == "p";
    }));
  }
  for (auto& one : refused) EXPECT_TRUE(one.get());
  EXPECT_EQ(log().find("== get"), log().rfind("== get"));
}

}  // namespace
}  // namespace artifactfs
