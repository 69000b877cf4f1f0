// What servers say of themselves, of their refs, and when they refuse.
#include <gtest/gtest.h>

#include <vector>

#include "fetch/remote_ref.h"
#include "fetch/server_capabilities.h"
#include "fetch/server_error.h"

namespace artifactfs {
namespace {

TEST(ServerCapabilities, SurviveBeingRemembered) {
  ServerCapabilities c;
  EXPECT_EQ(parse_capabilities(serialize_capabilities(c)).value(), c);
  c = {.protocol_version = 2,
       .fetch_shallow = true,
       .fetch_filter = true,
       .object_info = true,
       .ref_prefix_unborn = true,
       .object_format = "sha1",
       .object_format_advertised = true,
       .agent = "git/2.39.5 (x=y)"};
  EXPECT_EQ(parse_capabilities(serialize_capabilities(c)).value(), c);
}

TEST(ServerCapabilities, DamagedOnesAreRefused) {
  const std::string text = serialize_capabilities({.agent = "git/2"});
  EXPECT_FALSE(parse_capabilities(""));
  EXPECT_FALSE(parse_capabilities("x" + text));
  for (size_t line = text.find('\n'); line + 1 < text.size(); line = text.find('\n', line + 1))
    EXPECT_FALSE(parse_capabilities(text.substr(0, line + 1))) << line;
}

TEST(ServerCapabilities, V2LinesAreUnderstood) {
  ServerCapabilities c;
  for (const char* line : {"agent=git/2.45", "ls-refs=unborn", "fetch=shallow wait-for-done filter", "server-option",
                           "object-format=sha1", "object-info", "bundle-uri"})
    apply_v2_capability(c, line);
  EXPECT_TRUE(c.fetch_shallow && c.fetch_filter && c.object_info && c.ref_prefix_unborn && c.object_format_advertised);
  EXPECT_EQ(c.agent, "git/2.45");
  ServerCapabilities none;
  apply_v2_capability(none, "fetch=shallowish nofilter");
  EXPECT_FALSE(none.fetch_shallow || none.fetch_filter);
}

TEST(RemoteRef, LinesOfLsRefs) {
  const std::string a(40, 'a'), b(40, 'b');
  const auto head = parse_ls_refs_line(a + " HEAD symref-target:refs/heads/main");
  ASSERT_TRUE(head && *head);
  EXPECT_EQ((*head)->symbolic_target, "refs/heads/main");
  const auto tag = parse_ls_refs_line(a + " refs/tags/v1 peeled:" + b);
  ASSERT_TRUE(tag && *tag);
  EXPECT_EQ((*tag)->peeled, ObjectId::from_hex(b));
  const auto unborn = parse_ls_refs_line("unborn HEAD symref-target:refs/heads/main");
  ASSERT_TRUE(unborn && *unborn);
  EXPECT_TRUE((*unborn)->oid.is_null());
  for (const std::string& line : std::vector<std::string>{"nonsense", "", a, a + " ", "unborn", a + " HEAD peeled:xyz"})
    EXPECT_EQ(parse_ls_refs_line(line).error().code, ErrorCode::protocol) << line;
}

TEST(RemoteRef, NamesThatMustNotReachAGitdirAreLeftOut) {
  for (const char* name : {"refs/heads/main", "refs/heads/a/b-c.d", "HEAD", "refs/heads/@", "refs/heads/\xc3\xa4"})
    EXPECT_TRUE(is_valid_ref_name(name)) << name;
  for (const char* name : {"refs/heads/../../config", "refs/heads/a..b", "refs/", "refs//x", "refs/heads/.x", "config",
                           "refs/heads/x.lock", "refs/heads/x.lock/y", "refs/heads/x/", "refs/heads/x.", "refs/x\ty",
                           "refs/a:b", "refs/a@{1}", "refs/a\\b", "/etc/passwd", "", ".have", "refs/a\x7f"})
    EXPECT_FALSE(is_valid_ref_name(name)) << name;
  const auto left_out = parse_ls_refs_line(std::string(40, 'a') + " refs/heads/../../hooks/post-checkout");
  ASSERT_TRUE(left_out);
  EXPECT_FALSE(*left_out);
}

TEST(ServerError, KindsAreToldByTheServersWords) {
  EXPECT_EQ(server_error("upload-pack: not our ref 0123").code, ErrorCode::refused_object);
  EXPECT_EQ(server_error("want 0123 not valid").code, ErrorCode::refused_object);
  EXPECT_EQ(server_error("unknown capability 'object-format=sha1'").code, ErrorCode::protocol);
  EXPECT_EQ(server_error("filter 'tree' not supported").code, ErrorCode::not_supported);
  EXPECT_EQ(server_error("access denied or repository not exported: /x").code, ErrorCode::not_found);
  EXPECT_EQ(server_error("the disk is on fire").code, ErrorCode::unavailable);
}

TEST(ServerError, WordsAreMadePrintable) {
  EXPECT_EQ(server_error("a\x1b[31mb\n").cause, "a [31mb");
  EXPECT_EQ(server_error("").cause, "it gave no reason");
  EXPECT_EQ(server_error(std::string(100'000, 'x')).cause.size(), 503U);
}

}  // namespace
}  // namespace artifactfs
