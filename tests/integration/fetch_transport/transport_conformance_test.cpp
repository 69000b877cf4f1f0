// What every transport promises (fetch/transport.h), tried on each of them against real servers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>
#include <future>
#include <thread>
#include <vector>

#include "tests/integration/fetch_transport/remotes.h"

namespace artifactfs::test {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class TransportConformance : public testing::TestWithParam<RemoteKind> {
 protected:
  Remotes remotes_{GetParam()};

  std::string ask(Transport& transport, const std::string& request) {
    auto response = transport.command(request);
    return response ? read_all(**response) : "error: " + response.error().text();
  }
};

uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

TEST_P(TransportConformance, AdvertisesVersion2) {
  const auto transport = remotes_.transport("small.git");
  auto response = transport->advertisement();
  ASSERT_TRUE(response) << response.error().text();
  const std::string text = read_all(**response);
  EXPECT_THAT(text, StartsWith("000eversion 2\n"));
  EXPECT_THAT(text, HasSubstr("fetch=shallow"));
  EXPECT_THAT(text, EndsWith("0000"));
}

TEST_P(TransportConformance, AnswersCommandsWithAndWithoutAdvertisement) {
  const auto transport = remotes_.transport("small.git");
  EXPECT_THAT(ask(*transport, ls_refs_command()),
              HasSubstr(remotes_.small_head() + " HEAD symref-target:refs/heads/main"));
  auto advertised = transport->advertisement();
  ASSERT_TRUE(advertised);
  EXPECT_THAT(read_all(**advertised), EndsWith("0000"));
  const std::string pack = ask(*transport, fetch_command(remotes_.small_head()));
  EXPECT_THAT(pack, HasSubstr("PACK"));
  EXPECT_THAT(pack, EndsWith("0000"));
}

TEST_P(TransportConformance, CommandsInSequenceShareOneConnection) {
  const auto transport = remotes_.transport("small.git");
  for (int i = 0; i < 5; ++i) EXPECT_THAT(ask(*transport, ls_refs_command()), HasSubstr(" refs/heads/main\n"));
  EXPECT_EQ(transport->stats().connections, 1U);
  EXPECT_EQ(transport->stats().requests, 5U);
  EXPECT_GT(transport->stats().bytes_received, 500U);
  EXPECT_GT(transport->stats().bytes_sent, 500U);
  if (remotes_.proxy() != nullptr) {
    EXPECT_EQ(remotes_.proxy()->counters().connections, 1U);
  }
}

TEST_P(TransportConformance, CommandsRunInParallel) {
  const auto transport = remotes_.transport("small.git");
  std::vector<std::future<std::string>> answers;
  for (int i = 0; i < 4; ++i) {
    answers.push_back(std::async(std::launch::async, [&] {
      std::string last;
      for (int round = 0; round < 5; ++round) last = ask(*transport, ls_refs_command());
      return last;
    }));
  }
  for (auto& answer : answers) EXPECT_THAT(answer.get(), HasSubstr(remotes_.small_head()));
  EXPECT_LE(transport->stats().connections, 4U);
}

TEST_P(TransportConformance, MoreCommandsThanConnectionsAllGetTheirTurn) {
  const auto transport = remotes_.transport("small.git");
  std::vector<std::future<std::string>> answers;
  for (int i = 0; i < 20; ++i) {
    answers.push_back(std::async(std::launch::async, [&] { return ask(*transport, ls_refs_command()); }));
  }
  for (auto& answer : answers) EXPECT_THAT(answer.get(), HasSubstr(remotes_.small_head()));
  EXPECT_LE(transport->stats().connections, 8U);
}

TEST_P(TransportConformance, SlowReaderOfABigAnswerDoesNotGrowMemory) {
  const std::string head = remotes_.make_big();
  const auto transport = remotes_.transport("big.git");
  auto response = transport->command(fetch_command(head));
  ASSERT_TRUE(response);
  std::vector<std::byte> buffer(65536);
  uint64_t total = 0, first = 0, highest = 0;
  for (int reads = 0;; ++reads) {
    // Slow at first: what the server could push ahead in these pauses would be all of it.
    if (reads < 50) std::this_thread::sleep_for(std::chrono::milliseconds(4));
    const auto n = (*response)->read(buffer);
    ASSERT_TRUE(n) << n.error().text();
    if (*n == 0) break;
    total += *n;
    if (first == 0) first = resident_bytes();
    highest = std::max(highest, resident_bytes());
  }
  EXPECT_GT(total, Remotes::kBigBytes);
  // The proxy lives in this process and may hold as much as is under way through it.
  if (remotes_.proxy() == nullptr) {
    EXPECT_LT(highest - first, uint64_t{8} << 20);
  }
}

TEST_P(TransportConformance, CancelEndsAHangingRead) {
  if (remotes_.proxy() == nullptr) GTEST_SKIP() << "a local upload-pack cannot be made to hang";
  const auto transport = remotes_.transport("small.git");
  EXPECT_THAT(ask(*transport, ls_refs_command()), HasSubstr("refs/heads/main"));
  remotes_.proxy()->set_hang(true);
  auto response = transport->command(ls_refs_command());
  ASSERT_TRUE(response);
  auto reading = std::async(std::launch::async, [&] {
    std::array<std::byte, 100> buffer;
    return (*response)->read(buffer);
  });
  EXPECT_EQ(reading.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout);
  (*response)->cancel();
  const auto result = reading.get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::cancelled) << result.error().text();
  remotes_.proxy()->set_hang(false);
  EXPECT_THAT(ask(*transport, ls_refs_command()), HasSubstr("refs/heads/main"));
}

TEST_P(TransportConformance, CancelInTheMiddleOfAnAnswerSpoilsNothingElse) {
  const std::string head = remotes_.make_big();
  const auto transport = remotes_.transport("big.git");
  auto response = transport->command(fetch_command(head));
  ASSERT_TRUE(response);
  std::vector<std::byte> buffer(65536);
  ASSERT_TRUE((*response)->read(buffer));
  (*response)->cancel();
  (*response)->cancel();
  const auto n = (*response)->read(buffer);
  ASSERT_FALSE(n);
  EXPECT_EQ(n.error().code, ErrorCode::cancelled);
  response->reset();
  EXPECT_THAT(ask(*transport, ls_refs_command()), HasSubstr("refs/heads/main"));
}

TEST_P(TransportConformance, ShutdownEndsEverything) {
  const auto transport = remotes_.transport("small.git");
  EXPECT_THAT(ask(*transport, ls_refs_command()), HasSubstr("refs/heads/main"));
  if (remotes_.proxy() != nullptr) remotes_.proxy()->set_hang(true);
  auto response = transport->command(ls_refs_command());
  ASSERT_TRUE(response);
  auto reading = std::async(std::launch::async, [&] { return failure_of(std::move(response)); });
  if (remotes_.proxy() != nullptr) {
    EXPECT_EQ(reading.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  }
  transport->shutdown();
  const ErrorCode code = reading.get();
  if (remotes_.proxy() != nullptr) {
    EXPECT_EQ(code, ErrorCode::cancelled);
  }
  EXPECT_EQ(failure_of(transport->command(ls_refs_command())), ErrorCode::cancelled);
  EXPECT_EQ(failure_of(transport->advertisement()), ErrorCode::cancelled);
}

TEST_P(TransportConformance, CutInTheMiddleIsAnErrorAndTheNextCommandWorks) {
  if (remotes_.proxy() == nullptr) GTEST_SKIP() << "nothing between us and a local upload-pack";
  const std::string head = remotes_.make_big();
  const auto transport = remotes_.transport("big.git");
  EXPECT_THAT(ask(*transport, ls_refs_command()), HasSubstr("refs/heads/main"));
  std::string text;
  if (GetParam() == RemoteKind::ssh) {
    // ssh's own flow control talks back all the time: its answers have no offsets to cut at.
    auto response = transport->command(fetch_command(head));
    ASSERT_TRUE(response);
    std::array<std::byte, 1000> buffer;
    ASSERT_TRUE((*response)->read(buffer));
    remotes_.proxy()->drop_connections();
    EXPECT_EQ(failure_of(std::move(response), &text), ErrorCode::unavailable) << text;
  } else {
    remotes_.proxy()->cut_answers_after(500'000, 1);
    EXPECT_EQ(failure_of(transport->command(fetch_command(head)), &text), ErrorCode::unavailable) << text;
  }
  EXPECT_THAT(ask(*transport, ls_refs_command()), HasSubstr("refs/heads/main"));
}

TEST_P(TransportConformance, AConnectionThatDiedIdleIsReplaced) {
  if (remotes_.proxy() == nullptr) GTEST_SKIP() << "nothing between us and a local upload-pack";
  const auto transport = remotes_.transport("small.git");
  EXPECT_THAT(ask(*transport, ls_refs_command()), HasSubstr("refs/heads/main"));
  remotes_.proxy()->drop_connections();
  EXPECT_THAT(ask(*transport, ls_refs_command()), HasSubstr("refs/heads/main"));
}

TEST_P(TransportConformance, RefusedConnectionIsUnavailable) {
  if (remotes_.proxy() == nullptr) GTEST_SKIP() << "local remotes have no connection";
  remotes_.proxy()->set_refuse(true);
  const auto transport = remotes_.transport("small.git");
  std::string text;
  EXPECT_EQ(failure_of(transport->advertisement(), &text), ErrorCode::unavailable) << text;
  EXPECT_THAT(text, HasSubstr("Connection refused"));
  remotes_.proxy()->set_refuse(false);
  EXPECT_EQ(failure_of(transport->advertisement(), &text), ErrorCode::internal) << text;
}

TEST_P(TransportConformance, MissingRepositoryIsNotFound) {
  const auto transport = remotes_.transport("absent.git");
  std::string text;
  EXPECT_EQ(failure_of(transport->advertisement(), &text), ErrorCode::not_found) << text;
  EXPECT_THAT(text, HasSubstr("cannot fetch from '"));
}

TEST_P(TransportConformance, UnknownObjectLeavesTheTransportUsable) {
  const auto transport = remotes_.transport("small.git");
  const std::string answer = ask(*transport, fetch_command("1234567890123456789012345678901234567890"));
  if (GetParam() == RemoteKind::git) {
    // git daemon's child closes its socket with our last bytes unread; the reset can overtake its words.
    EXPECT_THAT(answer, testing::AnyOf(HasSubstr("not our ref"), HasSubstr("closed the connection")));
  } else {
    EXPECT_THAT(answer, HasSubstr("not our ref"));
  }
  EXPECT_THAT(ask(*transport, ls_refs_command()), HasSubstr("refs/heads/main"));
}

INSTANTIATE_TEST_SUITE_P(All, TransportConformance,
                         testing::Values(RemoteKind::http, RemoteKind::https, RemoteKind::ssh, RemoteKind::local,
                                         RemoteKind::file, RemoteKind::git),
                         [](const auto& test) { return to_string(test.param); });

}  // namespace
}  // namespace artifactfs::test
