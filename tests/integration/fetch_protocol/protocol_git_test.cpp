// ProtocolClient against the real git-upload-pack.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/sha1.h"
#include "fetch/pack_index_writer.h"
#include "fetch/protocol.h"
#include "git_fixture.h"
#include "pack_builder.h"
#include "recording_sink.h"
#include "upload_pack_transport.h"

namespace artifactfs {
namespace {

using testing::bytes_of;
using testing::GitFixture;
using testing::RecordingSink;
using testing::TemporaryDirectory;
using testing::UploadPackTransport;

constexpr int kCommits = 8;

class ProtocolWithGit : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    repository = std::make_unique<GitFixture>();
    repository->fill(kCommits);
    for (const char* option :
         {"uploadpack.allowFilter", "transfer.advertiseObjectInfo", "uploadpack.allowAnySHA1InWant"})
      repository->git({"config", option, "true"});
  }
  static void TearDownTestSuite() { repository.reset(); }

  static ObjectId oid_of(const std::string& revision) {
    return *ObjectId::from_hex(repository->git({"rev-parse", revision}));
  }
  static size_t count(const RecordingSink& sink, ObjectType type) {
    return static_cast<size_t>(
        std::ranges::count_if(sink.objects, [&](const auto& object) { return object.second.type == type; }));
  }

  static std::unique_ptr<GitFixture> repository;
  UploadPackTransport transport{repository->directory() / ".git", "version=2"};
  ProtocolClient client{transport};
  RecordingSink sink;
};
std::unique_ptr<GitFixture> ProtocolWithGit::repository;

TEST_F(ProtocolWithGit, Capabilities) {
  const auto c = client.capabilities();
  ASSERT_TRUE(c) << c.error().text();
  EXPECT_EQ(c->protocol_version, 2);
  EXPECT_TRUE(c->fetch_shallow && c->fetch_filter && c->object_info && c->ref_prefix_unborn);
  EXPECT_EQ(c->object_format, "sha1");
  EXPECT_TRUE(c->agent.starts_with("git/")) << c->agent;
}

TEST_F(ProtocolWithGit, TheSameRefsByEveryProtocolVersion) {
  const ObjectId main = oid_of("main");
  const std::vector<RemoteRef> expected{{"HEAD", main, {}, "refs/heads/main"},
                                        {"refs/heads/main", main, {}, {}},
                                        {"refs/tags/v1", oid_of("v1"), main, {}}};
  for (const char* version : {"", "version=1", "version=2"}) {
    UploadPackTransport versioned(repository->directory() / ".git", version);
    ProtocolClient versioned_client(versioned);
    const auto refs = versioned_client.ls_refs({});
    ASSERT_TRUE(refs) << refs.error().text();
    EXPECT_EQ(*refs, expected) << version;
    const auto tags = versioned_client.ls_refs(std::vector<std::string>{"refs/tags/"});
    ASSERT_TRUE(tags);
    EXPECT_EQ(*tags, (std::vector{expected[0], expected[2]})) << version;
  }
}

TEST_F(ProtocolWithGit, AnEmptyRepository) {
  GitFixture empty;
  for (const char* version : {"", "version=2"}) {
    UploadPackTransport versioned(empty.directory() / ".git", version);
    ProtocolClient versioned_client(versioned);
    const auto refs = versioned_client.ls_refs({});
    ASSERT_TRUE(refs) << refs.error().text();
    if (std::string_view(version).empty()) {
      EXPECT_TRUE(refs->empty());
    } else {
      EXPECT_EQ(*refs, (std::vector<RemoteRef>{{"HEAD", ObjectId{}, {}, "refs/heads/main"}}));
    }
  }
}

TEST_F(ProtocolWithGit, ASha256Repository) {
  GitFixture sha256({"--object-format=sha256"});
  sha256.write("a", "b");
  sha256.commit("first");
  for (const char* version : {"", "version=2"}) {
    UploadPackTransport versioned(sha256.directory() / ".git", version);
    const auto refs = ProtocolClient(versioned).ls_refs({});
    ASSERT_FALSE(refs);
    EXPECT_EQ(refs.error().code, ErrorCode::not_supported);
    EXPECT_EQ(refs.error().cause, "it uses SHA-256 object names");
  }
}

TEST_F(ProtocolWithGit, AMissingRepository) {
  UploadPackTransport nowhere("/nonexistent/repository", "version=2");
  const auto refs = ProtocolClient(nowhere).ls_refs({});
  ASSERT_FALSE(refs);
  EXPECT_TRUE(refs.error().code == ErrorCode::unavailable || refs.error().code == ErrorCode::not_found);
}

TEST_F(ProtocolWithGit, AShallowBloblessFetchBringsOneCommitAndItsTrees) {
  PackReader reader(sink);
  const auto answer = client.fetch({.wants = {oid_of("main")}, .deepen = 1, .filter = "blob:none"}, reader);
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->shallow, std::vector{oid_of("main")});
  EXPECT_EQ(answer->objects, sink.objects.size());
  EXPECT_EQ(count(sink, ObjectType::commit), 1U);
  EXPECT_EQ(count(sink, ObjectType::tree), 3U);
  EXPECT_EQ(count(sink, ObjectType::blob), 0U);
}

TEST_F(ProtocolWithGit, HistoryIsDeepenedLater) {
  {
    PackReader reader(sink);
    ASSERT_TRUE(client.fetch({.wants = {oid_of("main")}, .deepen = 1, .filter = "blob:none"}, reader));
  }
  RecordingSink more;
  PackReader reader(more);
  const auto answer = client.fetch({.wants = {oid_of("main")},
                                    .haves = {oid_of("main")},
                                    .shallow = {oid_of("main")},
                                    .deepen = 2,
                                    .deepen_relative = true,
                                    .filter = "blob:none"},
                                   reader);
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->unshallow, std::vector{oid_of("main")});
  EXPECT_EQ(answer->shallow, std::vector{oid_of("main~2")});
  EXPECT_TRUE(more.objects.contains(oid_of("main~2")));
  EXPECT_FALSE(more.objects.contains(oid_of("main~3")));
}

TEST_F(ProtocolWithGit, EverythingArrivesAndGitCanUseThePackWithOurIndex) {
  std::string pack;
  std::vector<std::string> progress;
  PackReader reader(sink);
  const auto answer = client.fetch(
      {.wants = {oid_of("main"), oid_of("v1")}}, reader, [&](std::string_view line) { progress.emplace_back(line); },
      [&](std::span<const std::byte> bytes) -> Result<void> {
        pack.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return {};
      });
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_TRUE(sink.breaches.empty());
  EXPECT_FALSE(progress.empty());
  EXPECT_EQ(answer->pack_bytes, pack.size());
  EXPECT_EQ(count(sink, ObjectType::commit), static_cast<size_t>(kCommits));
  EXPECT_EQ(count(sink, ObjectType::tag), 1U);

  GitFixture receiver;
  const auto name = receiver.directory() / ".git/objects/pack" / ("pack-" + reader.pack_checksum().hex());
  std::ofstream(name.string() + ".pack", std::ios::binary) << pack;
  ASSERT_TRUE(write_pack_index(name.string() + ".idx", sink.entries, reader.pack_checksum()));
  receiver.git({"fsck", "--strict", "--no-dangling", oid_of("main").hex()});
  EXPECT_EQ(receiver.git({"log", "--format=%H", oid_of("main").hex()}), repository->git({"log", "--format=%H"}));
}

TEST_F(ProtocolWithGit, BlobsAreFetchedByName) {
  const ObjectId file = oid_of("main:file.txt");
  const ObjectId old = oid_of("main~3:file.txt");
  PackReader reader(sink);
  const auto answer = client.fetch({.wants = {file, old}}, reader);
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(sink.objects.size(), 2U);
  EXPECT_EQ(sink.objects.at(file).content, repository->git({"cat-file", "blob", file.hex()}, {}, true));
}

TEST_F(ProtocolWithGit, AnUnknownObjectIsRefusedByName) {
  const ObjectId nowhere = hash_object(ObjectType::blob, bytes_of("nowhere"));
  PackReader reader(sink);
  const auto answer = client.fetch({.wants = {oid_of("main:file.txt"), nowhere}}, reader);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::refused_object);
  EXPECT_EQ(answer.error().cause, "upload-pack: not our ref " + nowhere.hex());
}

TEST_F(ProtocolWithGit, SizesWithoutContents) {
  const ObjectId nowhere = hash_object(ObjectType::blob, bytes_of("nowhere"));
  const ObjectId file = oid_of("main:file.txt");
  const ObjectId empty = oid_of("main:empty");
  const auto sizes = client.object_sizes(std::vector{file, nowhere, empty});
  ASSERT_TRUE(sizes) << sizes.error().text();
  EXPECT_EQ((*sizes)[0], std::stoull(repository->git({"cat-file", "-s", file.hex()})));
  EXPECT_EQ((*sizes)[1], std::nullopt);
  EXPECT_EQ((*sizes)[2], 0U);
}

TEST_F(ProtocolWithGit, AServerThatFellBackToV0IsNoticed) {
  const auto known = client.capabilities();
  ASSERT_TRUE(known);
  UploadPackTransport v0(repository->directory() / ".git", "");
  ProtocolClient remembering(v0, *known);
  const auto refs = remembering.ls_refs({});
  ASSERT_TRUE(refs) << refs.error().text();
  EXPECT_EQ(refs->size(), 3U);
  EXPECT_EQ(remembering.capabilities().value().protocol_version, 0);
}

TEST_F(ProtocolWithGit, AServerThatNoLongerFiltersIsNoticed) {
  const auto known = client.capabilities();
  ASSERT_TRUE(known);
  GitFixture unfiltered;
  unfiltered.fill(1);
  UploadPackTransport changed(unfiltered.directory() / ".git", "version=2");
  ProtocolClient remembering(changed, *known);
  PackReader reader(sink);
  const ObjectId head = *ObjectId::from_hex(unfiltered.git({"rev-parse", "HEAD"}));
  const auto answer = remembering.fetch({.wants = {head}, .filter = "blob:none"}, reader);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::not_supported) << answer.error().text();
  EXPECT_FALSE(remembering.capabilities().value().fetch_filter);
}

}  // namespace
}  // namespace artifactfs
