#include "base/duration.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

namespace artifactfs {

namespace {
// Longest first, so that formatting finds the shortest form.
constexpr std::array<std::pair<std::string_view, int64_t>, 4> kUnits = {
    {{"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  int64_t count = 0;
  const char* end = text.end();
  const auto [rest, error] = std::from_chars(text.begin(), end, count);
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  for (const auto& [name, milliseconds] : kUnits) {
    const int64_t longest =
        std::chrono::duration_cast<std::chrono::milliseconds>(kLongestDuration).count() / milliseconds;
    if (error == std::errc{} && unit == name && count >= 0 && count <= longest) {
      return std::chrono::milliseconds(count * milliseconds);
    }
  }
  return fail(ErrorCode::invalid_argument, "cannot read duration '" + std::string(text) + "'",
              "write a number and a unit, as in 500ms, 60s, 2m or 1h");
}

std::string format_duration(Duration duration) {
  const int64_t total = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  if (total == 0) return "0s";
  for (const auto& [name, milliseconds] : kUnits) {
    if (total % milliseconds == 0) return std::to_string(total / milliseconds) + std::string(name);
  }
  return std::to_string(total) + "ms";
}

}  // namespace artifactfs
