#include "base/duration.h"

#include <gtest/gtest.h>

namespace artifactfs {
namespace {

using namespace std::chrono_literals;

TEST(Duration, ReadsNumbersWithUnits) {
  EXPECT_EQ(parse_duration("500ms").value(), Duration(500ms));
  EXPECT_EQ(parse_duration("60s").value(), Duration(60s));
  EXPECT_EQ(parse_duration("2m").value(), Duration(2min));
  EXPECT_EQ(parse_duration("1h").value(), Duration(1h));
  EXPECT_EQ(parse_duration("0s").value(), Duration(0s));
}

TEST(Duration, RefusesEverythingElse) {
  for (const char* text :
       {"", "5", "s", "-1s", "1.5s", "5 s", "5x", "5sm", "99999999999999999999s", "9000000000000h"}) {
    const auto parsed = parse_duration(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::invalid_argument) << text;
  }
}

TEST(Duration, FormatsWithTheLargestExactUnit) {
  for (const char* text : {"0s", "500ms", "90s", "2m", "1h", "1500ms"}) {
    EXPECT_EQ(format_duration(parse_duration(text).value()), text);
  }
}

}  // namespace
}  // namespace artifactfs
