// ProtocolClient against a server that says what the test wants.
#include "fetch/protocol.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/sha1.h"
#include "fake_transport.h"
#include "pack_builder.h"
#include "recording_sink.h"

namespace artifactfs {
namespace {

using testing::band_1;
using testing::bytes_of;
using testing::FakeAnswer;
using testing::FakeTransport;
using testing::PackBuilder;
using testing::packets;
using testing::RecordingSink;

const std::string kA(40, 'a');
const std::string kB(40, 'b');
const std::string kC(40, 'c');
const ObjectId kOidA = *ObjectId::from_hex(kA);
const ObjectId kOidB = *ObjectId::from_hex(kB);
const ObjectId kOidC = *ObjectId::from_hex(kC);

std::string advertisement(const std::vector<std::string>& extra = {}) {
  std::vector<std::string> lines{"version 2",   "agent=git/2.39.5",  "ls-refs=unborn", "fetch=shallow filter",
                                 "object-info", "object-format=sha1"};
  lines.insert(lines.end(), extra.begin(), extra.end());
  lines.push_back("0000");
  return packets(lines);
}

ServerCapabilities known_capabilities() {
  return {.fetch_shallow = true,
          .fetch_filter = true,
          .object_info = true,
          .ref_prefix_unborn = true,
          .object_format_advertised = true,
          .agent = "git/2.39.5"};
}

std::string small_pack() {
  PackBuilder pack(2);
  pack.add(ObjectType::blob, "hello\n");
  pack.add(ObjectType::blob, std::string(5000, 'x'));
  return pack.finish();
}

class Protocol : public ::testing::Test {
 protected:
  Protocol() { transport.advertisements.push_back(FakeAnswer{advertisement()}); }

  Result<FetchAnswer> fetch(FetchRequest request, Cancellation* cancellation = nullptr) {
    PackReader reader(sink);
    return client.fetch(request, reader, {}, {}, cancellation);
  }
  Result<FetchAnswer> fetch_answered(std::string answer, size_t slice = 0) {
    transport.answers.push_back(FakeAnswer{std::move(answer), slice});
    return fetch({.wants = {kOidA}});
  }

  FakeTransport transport;
  ProtocolClient client{transport};
  RecordingSink sink;
};

// ---- capabilities

TEST_F(Protocol, CapabilitiesAreAskedForOnce) {
  for (int i = 0; i < 2; ++i) {
    const auto c = client.capabilities();
    ASSERT_TRUE(c) << c.error().text();
    EXPECT_EQ(*c, known_capabilities());
  }
  EXPECT_EQ(transport.advertisements_asked, 1);
}

TEST_F(Protocol, ManyThreadsAskForCapabilitiesOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { good += client.capabilities() ? 1 : 0; });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 8);
  EXPECT_EQ(transport.advertisements_asked, 1);
}

TEST_F(Protocol, AFailureToAskIsNotRemembered) {
  transport.advertisements.push_front(fail(ErrorCode::unavailable, "cannot reach the server"));
  EXPECT_EQ(client.capabilities().error().code, ErrorCode::unavailable);
  EXPECT_TRUE(client.capabilities());
}

TEST_F(Protocol, ARepositoryWithSha256NamesIsNotSupported) {
  transport.advertisements = {
      FakeAnswer{packets({"version 2", "object-format=sha256", "fetch", "0000"})},
      FakeAnswer{packets({std::string(64, 'a') + " HEAD" + std::string(1, '\0') + "side-band-64k object-format=sha256",
                          std::string(64, 'a') + " refs/heads/main", "0000"})}};
  for (int i = 0; i < 2; ++i) {
    const auto c = client.capabilities();
    ASSERT_FALSE(c);
    EXPECT_EQ(c.error().code, ErrorCode::not_supported);
    EXPECT_EQ(c.error().cause, "it uses SHA-256 object names");
  }
}

TEST_F(Protocol, GreetingsThatAreNone) {
  const std::vector<std::pair<std::string, ErrorCode>> cases{
      {"<!DOCTYPE html>", ErrorCode::protocol},
      {packets({"Welcome to our server", "0000"}), ErrorCode::protocol},
      {packets({"ERR access denied or repository not exported: /x"}), ErrorCode::not_found},
      {packets({"version 2", "0001"}), ErrorCode::protocol},
      {packets({"version 2", "fetch"}), ErrorCode::unavailable},
      {"", ErrorCode::unavailable},
  };
  for (const auto& [greeting, code] : cases) {
    transport.advertisements = {FakeAnswer{greeting}};
    const auto c = client.capabilities();
    ASSERT_FALSE(c) << greeting;
    EXPECT_EQ(c.error().code, code) << c.error().text();
  }
}

// ---- protocol v0 and v1

TEST_F(Protocol, RefsOfAV0Advertisement) {
  const std::string v0 =
      packets({kA + " HEAD" + std::string(1, '\0') +
                   "multi_ack symref=HEAD:refs/heads/main shallow filter object-format=sha1 agent=git/2",
               kA + " refs/heads/main", kB + " refs/tags/v1", kC + " refs/tags/v1^{}", "shallow " + kA, "0000"});
  for (const std::string& greeting : {v0, packets({"version 1"}) + v0}) {
    transport.advertisements = {FakeAnswer{greeting}};
    ProtocolClient fresh(transport);
    const auto c = fresh.capabilities();
    ASSERT_TRUE(c) << c.error().text();
    EXPECT_EQ(c->protocol_version, greeting == v0 ? 0 : 1);
    EXPECT_EQ(c->agent, "git/2");
    const auto refs = fresh.ls_refs({});
    ASSERT_TRUE(refs) << refs.error().text();
    EXPECT_EQ(*refs, (std::vector<RemoteRef>{{"HEAD", kOidA, {}, "refs/heads/main"},
                                             {"refs/heads/main", kOidA, {}, {}},
                                             {"refs/tags/v1", kOidB, kOidC, {}}}));
    // A second question is asked anew.
    transport.advertisements = {FakeAnswer{greeting}};
    const std::vector<std::string> tags{"refs/tags/"};
    EXPECT_EQ(fresh.ls_refs(tags).value().size(), 2U);
    PackReader reader(sink);
    EXPECT_EQ(fresh.fetch({.wants = {kOidA}}, reader).error().code, ErrorCode::not_supported);
    EXPECT_EQ(fresh.object_sizes(std::vector{kOidA}).error().code, ErrorCode::not_supported);
  }
  EXPECT_TRUE(transport.requests.empty());
}

TEST_F(Protocol, AnEmptyRepositoryOfV0HasNoRefs) {
  for (const std::string& greeting :
       {packets({std::string(40, '0') + " capabilities^{}" + std::string(1, '\0') + "agent=git/2", "0000"}),
        packets({"0000"})}) {
    transport.advertisements = {FakeAnswer{greeting}};
    ProtocolClient fresh(transport);
    EXPECT_TRUE(fresh.ls_refs({}).value().empty());
  }
}

// ---- ls-refs

TEST_F(Protocol, LsRefsAsksAndUnderstands) {
  transport.answers.push_back(FakeAnswer{packets({kA + " HEAD symref-target:refs/heads/main", kA + " refs/heads/main",
                                                  kB + " refs/tags/v1 peeled:" + kC, kB + " refs/pull/1/head", "0000"}),
                                         1});
  const std::vector<std::string> prefixes{"refs/heads/", "refs/tags/"};
  const auto refs = client.ls_refs(prefixes);
  ASSERT_TRUE(refs) << refs.error().text();
  EXPECT_EQ(*refs, (std::vector<RemoteRef>{{"HEAD", kOidA, {}, "refs/heads/main"},
                                           {"refs/heads/main", kOidA, {}, {}},
                                           {"refs/tags/v1", kOidB, kOidC, {}}}));
  EXPECT_EQ(
      transport.requests.at(0),
      packets({"command=ls-refs", "agent=artifactfs/" ARTIFACTFS_VERSION, "object-format=sha1", "0001", "peel",
               "symrefs", "unborn", "ref-prefix HEAD", "ref-prefix refs/heads/", "ref-prefix refs/tags/", "0000"}));
}

TEST_F(Protocol, AnOldServerIsNotToldWhatItDoesNotKnow) {
  transport.advertisements = {FakeAnswer{packets({"version 2", "ls-refs", "fetch", "0000"})}};
  transport.answers.push_back(FakeAnswer{packets({"0000"})});
  ASSERT_TRUE(client.ls_refs({}));
  EXPECT_EQ(transport.requests.at(0), packets({"command=ls-refs", "0001", "peel", "symrefs", "0000"}));
  EXPECT_EQ(fetch({.wants = {kOidA}, .filter = "blob:none"}).error().code, ErrorCode::not_supported);
  EXPECT_EQ(fetch({.wants = {kOidA}, .deepen = 1}).error().code, ErrorCode::not_supported);
  EXPECT_EQ(client.object_sizes(std::vector{kOidA}).error().code, ErrorCode::not_supported);
  EXPECT_EQ(transport.requests.size(), 1U);
}

TEST_F(Protocol, AnEmptyRepositoryHasAnUnbornHead) {
  transport.answers.push_back(FakeAnswer{packets({"unborn HEAD symref-target:refs/heads/main", "0000"})});
  const auto refs = client.ls_refs({});
  ASSERT_TRUE(refs);
  EXPECT_EQ(*refs, (std::vector<RemoteRef>{{"HEAD", ObjectId{}, {}, "refs/heads/main"}}));
}

TEST_F(Protocol, BadRefListsAreRefused) {
  const std::vector<std::pair<std::string, ErrorCode>> cases{
      {packets({"gibberish", "0000"}), ErrorCode::protocol},
      {packets({kA + " HEAD", "0001"}), ErrorCode::protocol},
      {packets({kA + " HEAD"}), ErrorCode::unavailable},
      {packets({"ERR unexpected line: 'unborn'"}), ErrorCode::protocol},
  };
  for (const auto& [answer, code] : cases) {
    transport.answers = {FakeAnswer{answer}};
    EXPECT_EQ(client.ls_refs({}).error().code, code) << answer;
  }
}

TEST_F(Protocol, WordsThatCannotBeSentAreNotSent) {
  EXPECT_EQ(client.ls_refs(std::vector<std::string>{"refs/\n0000"}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(fetch({.wants = {kOidA}, .filter = std::string(65'000, 'x')}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(fetch({}).error().code, ErrorCode::invalid_argument);
  EXPECT_TRUE(transport.requests.empty());
}

// ---- fetch

TEST_F(Protocol, FetchSendsWhatWasAsked) {
  transport.answers.push_back(
      FakeAnswer{packets({"shallow-info", "shallow " + kA, "unshallow " + kB, "0001", "packfile"}) +
                 band_1(small_pack()) + packets({"0000"})});
  const auto answer = fetch({.wants = {kOidA, kOidB},
                             .haves = {kOidC},
                             .shallow = {kOidC},
                             .deepen = 1,
                             .deepen_relative = true,
                             .filter = "blob:none",
                             .include_tag = true});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(transport.requests.at(0),
            packets({"command=fetch", "agent=artifactfs/" ARTIFACTFS_VERSION, "object-format=sha1", "0001", "ofs-delta",
                     "no-progress", "include-tag", "want " + kA, "want " + kB, "shallow " + kC, "deepen 1",
                     "deepen-relative", "filter blob:none", "have " + kC, "done", "0000"}));
  EXPECT_EQ(answer->shallow, std::vector{kOidA});
  EXPECT_EQ(answer->unshallow, std::vector{kOidB});
  EXPECT_EQ(answer->objects, 2U);
  EXPECT_EQ(answer->pack_bytes, small_pack().size());
  EXPECT_EQ(sink.objects.size(), 2U);
  EXPECT_TRUE(sink.breaches.empty());
}

TEST_F(Protocol, OtherSectionsArePassedOver) {
  const auto answer = fetch_answered(packets({"acknowledgments", "ACK " + kA, "ready", "0001", "wanted-refs",
                                              kA + " refs/heads/main", "0001", "packfile"}) +
                                         band_1(small_pack(), 1) + packets({"0000"}),
                                     3);
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->objects, 2U);
}

TEST_F(Protocol, ProgressComesLineByLineAndThePackIsSeenBeforeTheReader) {
  const std::string pack = small_pack();
  PktLineWriter writer;
  writer.text("packfile");
  writer.data("\2Counting: 1\rCounting: ");
  writer.data("\1" + pack.substr(0, 50));
  writer.data(
      "\2"
      "2, done.\n");
  writer.data("\1");  // keep-alive
  writer.data("\1" + pack.substr(50));
  writer.data("\2Total 2");
  writer.flush();
  transport.answers.push_back(FakeAnswer{writer.take()});
  std::vector<std::string> lines;
  std::string seen;
  PackReader reader(sink);
  const auto answer = client.fetch(
      {.wants = {kOidA}}, reader, [&](std::string_view line) { lines.emplace_back(line); },
      [&](std::span<const std::byte> bytes) -> Result<void> {
        EXPECT_EQ(reader.bytes_fed(), seen.size());
        seen.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return {};
      });
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(lines, (std::vector<std::string>{"Counting: 1", "Counting: 2, done.", "Total 2"}));
  EXPECT_EQ(seen, pack);
  EXPECT_EQ(transport.requests.at(0).find("no-progress"), std::string::npos);
}

TEST_F(Protocol, TheServersRefusalIsToldInItsWords) {
  const std::string not_ours = "upload-pack: not our ref " + kA;
  const std::vector<std::tuple<std::string, ErrorCode, std::string>> cases{
      {packets({"ERR " + not_ours}), ErrorCode::refused_object, not_ours},
      {packets({"packfile", "\3" + not_ours}), ErrorCode::refused_object, not_ours},
      {packets({"packfile", "\3the disk is on fire"}), ErrorCode::unavailable, "the disk is on fire"},
      {packets({"packfile", "ERR " + not_ours}), ErrorCode::refused_object, not_ours},
      {packets({"shallow-info", "ERR " + not_ours}), ErrorCode::refused_object, not_ours},
  };
  for (const auto& [answer, code, words] : cases) {
    const auto fetched = fetch_answered(answer);
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().code, code);
    EXPECT_EQ(fetched.error().cause, words);
  }
}

TEST_F(Protocol, NonsenseIsNamed) {
  for (const std::string& answer :
       {packets({"packfile-uris", "0000"}), packets({"0000"}), packets({"shallow-info", "shallow x", "0000"}),
        packets({"shallow-info", "0000"}), packets({"packfile", "\4band four", "0000"}), packets({"packfile", "0001"}),
        packets({"0001"}), packets({"0002"}), packets({"packfile"}) + "0004", std::string("HTTP/1.1 200 OK")}) {
    const auto fetched = fetch_answered(answer);
    ASSERT_FALSE(fetched) << answer;
    EXPECT_EQ(fetched.error().code, ErrorCode::protocol) << fetched.error().text();
  }
}

TEST_F(Protocol, ACutAnswerIsUnavailableWhereverItIsCut) {
  const std::string answer =
      packets({"shallow-info", "shallow " + kA, "0001", "packfile"}) + band_1(small_pack(), 60) + packets({"0000"});
  ASSERT_TRUE(fetch_answered(answer));
  for (size_t length = 0; length < answer.size(); ++length) {
    sink = RecordingSink();
    const auto fetched = fetch_answered(answer.substr(0, length));
    ASSERT_FALSE(fetched) << length;
    ASSERT_EQ(fetched.error().code, ErrorCode::unavailable) << fetched.error().text();
    EXPECT_EQ(fetched.error().cause, "the connection was cut after " + std::to_string(length) + " bytes");
    EXPECT_TRUE(sink.breaches.empty());
  }
  EXPECT_EQ(sink.objects.size(), 2U);  // what came before the cut stays
}

TEST_F(Protocol, AWholeAnswerWithHalfAPackIsCorrupt) {
  const std::string pack = small_pack();
  const auto fetched =
      fetch_answered(packets({"packfile"}) + band_1(pack.substr(0, pack.size() - 3)) + packets({"0000"}));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, ErrorCode::corrupt);
}

TEST_F(Protocol, AFlippedBitInAnAnswerNeverYieldsAWrongName) {
  const std::string answer = packets({"packfile"}) + band_1(small_pack(), 60) + packets({"0000"});
  for (size_t position = 0; position < answer.size(); ++position) {
    for (const int bit : {0, 2, 6}) {
      std::string damaged = answer;
      damaged[position] = static_cast<char>(damaged[position] ^ (1 << bit));
      sink = RecordingSink();
      (void)fetch_answered(damaged);
      ASSERT_TRUE(sink.breaches.empty()) << sink.breaches.front();
      transport.requests.clear();
    }
  }
}

// ---- object-info

TEST_F(Protocol, SizesComeInTheOrderOfTheQuestion) {
  transport.answers.push_back(
      FakeAnswer{packets({"size", kB + " 18446744073709551615", kA + " 17", kC + " ", "0000"})});
  const auto sizes = client.object_sizes(std::vector{kOidA, kOidB, kOidC, kOidA, ObjectId{}});
  ASSERT_TRUE(sizes) << sizes.error().text();
  EXPECT_EQ(*sizes, (std::vector<std::optional<uint64_t>>{17, UINT64_MAX, std::nullopt, 17, std::nullopt}));
  EXPECT_EQ(transport.requests.at(0), packets({"command=object-info", "agent=artifactfs/" ARTIFACTFS_VERSION,
                                               "object-format=sha1", "0001", "size", "oid " + kA, "oid " + kB,
                                               "oid " + kC, "oid " + kA, "oid " + std::string(40, '0'), "0000"}));
  EXPECT_TRUE(client.object_sizes({}).value().empty());
  EXPECT_EQ(transport.requests.size(), 1U);
}

TEST_F(Protocol, BadSizesAreRefused) {
  const std::vector<std::pair<std::string, ErrorCode>> cases{
      {packets({"size", kA + " -1", "0000"}), ErrorCode::protocol},
      {packets({"size", kA + " 18446744073709551616", "0000"}), ErrorCode::protocol},
      {packets({"size", kA + " 1 2", "0000"}), ErrorCode::protocol},
      {packets({"size", "x 1", "0000"}), ErrorCode::protocol},
      {packets({"size", "0001"}), ErrorCode::protocol},
      {packets({"size", kA + " 1"}), ErrorCode::unavailable},
      {packets({"ERR object-info: protocol error, expected to get oid, not 'x'"}), ErrorCode::protocol},
  };
  for (const auto& [answer, code] : cases) {
    transport.answers = {FakeAnswer{answer}};
    EXPECT_EQ(client.object_sizes(std::vector{kOidA}).error().code, code) << answer;
  }
}

// ---- remembered capabilities

TEST_F(Protocol, RememberedCapabilitiesSpareTheQuestion) {
  ProtocolClient remembering(transport, known_capabilities());
  transport.answers = {FakeAnswer{packets({kA + " HEAD", "0000"})}};
  EXPECT_EQ(remembering.ls_refs({}).value().size(), 1U);
  EXPECT_EQ(transport.advertisements_asked, 0);
}

TEST_F(Protocol, FalseMemoriesAreDroppedOnce) {
  for (const Result<FakeAnswer>& wrong : std::vector<Result<FakeAnswer>>{
           FakeAnswer{"<html>"}, FakeAnswer{""}, FakeAnswer{packets({"ERR unknown capability 'object-format=sha1'"})},
           fail(ErrorCode::protocol, "cannot talk", "not a git server")}) {
    ProtocolClient remembering(transport, known_capabilities());
    transport.advertisements = {FakeAnswer{packets({"version 2", "ls-refs", "0000"})}};
    transport.advertisements_asked = 0;
    transport.requests.clear();
    transport.answers = {wrong, FakeAnswer{packets({kA + " HEAD", "0000"})}};
    const auto refs = remembering.ls_refs({});
    ASSERT_TRUE(refs) << refs.error().text();
    EXPECT_EQ(transport.advertisements_asked, 1);
    ASSERT_EQ(transport.requests.size(), 2U);
    EXPECT_EQ(transport.requests[1], packets({"command=ls-refs", "0001", "peel", "symrefs", "0000"}));
    // From now on an error is an error.
    transport.answers = {FakeAnswer{"<html>"}};
    EXPECT_EQ(remembering.ls_refs({}).error().code, ErrorCode::protocol);
    EXPECT_EQ(transport.advertisements_asked, 1);
  }
}

TEST_F(Protocol, ARememberedV2ServerMayHaveFallenBackToV0) {
  ProtocolClient remembering(transport, known_capabilities());
  transport.advertisements = {
      FakeAnswer{packets({kA + " HEAD" + std::string(1, '\0') + "agent=git/2", kA + " refs/heads/main", "0000"})}};
  transport.answers = {
      FakeAnswer{packets({"ERR upload-pack: protocol error, expected to get oid, not 'command=ls-refs'"})}};
  EXPECT_EQ(remembering.ls_refs({}).value().size(), 2U);
  EXPECT_EQ(remembering.capabilities().value().protocol_version, 0);
}

TEST_F(Protocol, ARefusedObjectOrAPartOfAPackIsNoReasonToAskAgain) {
  for (const std::string& answer : {packets({"ERR upload-pack: not our ref " + kA}),
                                    packets({"packfile"}) + band_1(small_pack().substr(0, 50)) + "junk"}) {
    ProtocolClient remembering(transport, known_capabilities());
    transport.answers = {FakeAnswer{answer}};
    PackReader reader(sink);
    EXPECT_FALSE(remembering.fetch({.wants = {kOidA}}, reader));
    EXPECT_EQ(transport.advertisements_asked, 0);
  }
}

// ---- cancellation

TEST_F(Protocol, ACancelledCallEnds) {
  for (const std::string& begun : {std::string(), packets({"packfile"}) + band_1(small_pack().substr(0, 100))}) {
    FakeTransport hanging;
    hanging.advertisements.push_back(FakeAnswer{advertisement()});
    hanging.answers.push_back(FakeAnswer{begun, 0, true});
    ProtocolClient hung(hanging);
    Cancellation cancellation;
    std::thread canceller([&] {
      hanging.wait_for_hanging(1);
      cancellation.cancel();
    });
    PackReader reader(sink);
    const auto fetched = hung.fetch({.wants = {kOidA}}, reader, {}, {}, &cancellation);
    canceller.join();
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().code, ErrorCode::cancelled);
    sink = RecordingSink();
  }
}

TEST_F(Protocol, ACallCancelledBeforeItBeginsAsksNothing) {
  Cancellation cancellation;
  cancellation.cancel();
  EXPECT_EQ(client.ls_refs({}, &cancellation).error().code, ErrorCode::cancelled);
  EXPECT_EQ(transport.advertisements_asked, 0);
}

TEST_F(Protocol, CancellationMayRaceWithTheEndOfACall) {
  for (int round = 0; round < 300; ++round) {
    transport.answers = {FakeAnswer{packets({"packfile"}) + band_1(small_pack(), 100) + packets({"0000"}), 100}};
    Cancellation cancellation;
    std::thread canceller([&] { cancellation.cancel(); });
    const auto fetched = fetch({.wants = {kOidA}}, &cancellation);
    canceller.join();
    EXPECT_TRUE(fetched || fetched.error().code == ErrorCode::cancelled);
    sink = RecordingSink();
  }
}

TEST_F(Protocol, AWaiterForSomeoneElsesQuestionCanBeCancelled) {
  FakeTransport hanging;
  hanging.advertisements.push_back(FakeAnswer{"", 0, true});
  ProtocolClient hung(hanging);
  Cancellation first, second;
  std::thread asker([&] { EXPECT_EQ(hung.capabilities(&first).error().code, ErrorCode::cancelled); });
  hanging.wait_for_hanging(1);
  std::thread waiter([&] { EXPECT_EQ(hung.capabilities(&second).error().code, ErrorCode::cancelled); });
  second.cancel();
  waiter.join();
  first.cancel();
  asker.join();
}

}  // namespace
}  // namespace artifactfs
