// Durations as people write them: "500ms", "60s", "2m", "1h".
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace artifactfs {

/// A whole number followed by ms, s, m or h. ErrorCode::invalid_argument for anything else, also for what is longer
/// than kLongestDuration.
Result<Duration> parse_duration(std::string_view text);
inline constexpr Duration kLongestDuration = std::chrono::hours(24 * 365);

/// The shortest exact form in milliseconds or more, e.g. "90s" (fractions of a millisecond are cut).
std::string format_duration(Duration duration);

}  // namespace artifactfs
