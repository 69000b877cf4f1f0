#include "fetch/upload_pack_error.h"

#include <array>
#include <string>

#include "base/log.h"

namespace artifactfs {

namespace {

struct Phrase {
  std::string_view words;
  ErrorCode code;
  std::string_view advice;
};

// The first that occurs counts: "Permission denied (publickey)" before the "Could not read" that hosts add to it.
constexpr std::array kPhrases = {
    Phrase{"dubious ownership", ErrorCode::permission_denied, ""},
    Phrase{"Host key verification failed", ErrorCode::unauthorized,
           " (connect once with ssh by hand, or add the host's key to known_hosts)"},
    Phrase{"REMOTE HOST IDENTIFICATION HAS CHANGED", ErrorCode::unauthorized, ""},
    Phrase{"Permission denied", ErrorCode::unauthorized, " (is the key loaded into the ssh agent?)"},
    Phrase{"Could not resolve", ErrorCode::unavailable, ""},
    Phrase{"Connection refused", ErrorCode::unavailable, ""},
    Phrase{"timed out", ErrorCode::timeout, ""},
    Phrase{"Connection closed", ErrorCode::unavailable, ""},
    Phrase{"Connection reset", ErrorCode::unavailable, ""},
    Phrase{"does not appear to be a git repository", ErrorCode::not_found, ""},
    Phrase{"not a git repository", ErrorCode::not_found, ""},
    Phrase{"no such repository", ErrorCode::not_found, ""},
    Phrase{"epository not found", ErrorCode::not_found, ""},
    Phrase{"repository not exported", ErrorCode::not_found, ""},
    Phrase{"No such file or directory", ErrorCode::not_found, ""},
    Phrase{"access denied", ErrorCode::forbidden, ""},
    Phrase{"not our ref", ErrorCode::refused_object, ""},
};

}  // namespace

Error upload_pack_error(std::string_view words) {
  while (words.ends_with('\n')) words.remove_suffix(1);
  const std::string shown = log::redact(words);
  for (const auto& phrase : kPhrases) {
    if (words.find(phrase.words) != std::string_view::npos) {
      return {phrase.code, "cannot fetch", shown + std::string(phrase.advice)};
    }
  }
  return {ErrorCode::unavailable, "cannot fetch", shown};
}

}  // namespace artifactfs
