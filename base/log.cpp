#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cctype>

namespace artifactfs::log {

namespace {

std::atomic<Level> current_level{Level::info};

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto created = std::make_shared<spdlog::logger>("artifactfs", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    created->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
    created->set_level(spdlog::level::trace);
    created->flush_on(spdlog::level::trace);
    return created;
  }();
  return *instance;
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::trace:
      return spdlog::level::trace;
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
    case Level::off:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

// Where the secret that starts at `from` ends: whitespace, quote or end of line.
size_t secret_end(std::string_view text, size_t from) {
  while (from < text.size() && !std::isspace(static_cast<unsigned char>(text[from])) && text[from] != '\'' &&
         text[from] != '"') {
    ++from;
  }
  return from;
}

bool starts_with_nocase(std::string_view text, std::string_view prefix) {
  if (text.size() < prefix.size()) return false;
  for (size_t i = 0; i < prefix.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(text[i])) != prefix[i]) return false;
  }
  return true;
}

}  // namespace

Result<Level> parse_level(std::string_view text) {
  if (text == "trace") return Level::trace;
  if (text == "debug") return Level::debug;
  if (text == "info") return Level::info;
  if (text == "warning") return Level::warning;
  if (text == "error") return Level::error;
  if (text == "off") return Level::off;
  return fail(ErrorCode::invalid_argument, "cannot set log level '" + std::string(text) + "'",
              "not one of trace, debug, info, warning, error, off");
}

void set_level(Level level) { current_level = level; }
Level level() { return current_level; }

std::string redact(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t i = 0;
  while (i < text.size()) {
    const std::string_view rest = text.substr(i);
    if (rest.starts_with("://")) {  // user info of a URL: everything up to the last '@' before the path
      out += "://";
      i += 3;
      const size_t host_end = std::min(text.find_first_of("/?# \t\n'\"", i), text.size());
      const size_t at = text.substr(i, host_end - i).rfind('@');
      if (at != std::string_view::npos) {
        out += "***@";
        i += at + 1;
      }
    } else if (starts_with_nocase(rest, "authorization:")) {
      const size_t line_end = std::min(text.find('\n', i), text.size());
      out.append(text.substr(i, 14)).append(" ***");
      i = line_end;
    } else if (starts_with_nocase(rest, "password=")) {
      out.append(text.substr(i, 9)).append("***");
      i = secret_end(text, i + 9);
    } else {
      out += text[i++];
    }
  }
  return out;
}

void write(Level level, std::string_view message) {
  if (level < current_level.load()) return;
  const std::string clean = redact(message);
  logger().log(to_spdlog(level), spdlog::string_view_t(clean.data(), clean.size()));
}

}  // namespace artifactfs::log
