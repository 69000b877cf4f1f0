// Log: one process-wide logger (spdlog) writing to stderr. Log once, where a failure is handled; `error` means that a
// user's I/O failed. Every line passes the redactor, which removes credentials from URLs and Authorization headers.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/error.h"

namespace artifactfs::log {

enum class Level { trace, debug, info, warning, error, off };

/// Parses "trace", "debug", "info", "warning", "error" or "off".
Result<Level> parse_level(std::string_view text);

/// May be called at any time, from any thread.
void set_level(Level level);
Level level();

/// Removes what must never be shown: "user:secret@" in URLs, "Authorization: ..." values, "password=..." lines.
std::string redact(std::string_view text);

void write(Level level, std::string_view message);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::debug) write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::info) write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::warning) write(Level::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::error) write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace artifactfs::log
