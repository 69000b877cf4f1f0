#include "fetch/pkt_scanner.h"

#include <gtest/gtest.h>

#include <string_view>

namespace artifactfs {
namespace {

TEST(PktScannerTest, FindsTheFlushWhereverTheBytesAreCut) {
  constexpr std::string_view kAnswer = "0008abcd0001000b00000000000more";
  for (size_t step = 1; step < kAnswer.size(); ++step) {
    PktScanner scanner;
    size_t used = 0;
    while (!scanner.at_end()) {
      used += scanner.feed(std::as_bytes(std::span(kAnswer.substr(used, step))));
      ASSERT_LE(used, kAnswer.size());
    }
    EXPECT_EQ(kAnswer.substr(used), "more") << step;
  }
}

TEST(PktScannerTest, KnowsErrorsAndNonsense) {
  PktScanner error;
  error.feed(std::as_bytes(std::span(std::string_view("000bERR bad"))));
  EXPECT_TRUE(error.last_was_error());
  PktScanner nonsense;
  nonsense.feed(std::as_bytes(std::span(std::string_view("<htm"))));
  EXPECT_TRUE(nonsense.broken());
}

}  // namespace
}  // namespace artifactfs
