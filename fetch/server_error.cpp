#include "fetch/server_error.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace artifactfs {

namespace {

constexpr size_t kMaxShownBytes = 500;

struct Phrase {
  std::string_view words;  // lower case
  ErrorCode code;
};

// The first that is found decides.
constexpr std::array kPhrases = {
    Phrase{"not our ref", ErrorCode::refused_object},
    Phrase{"unadvertised object", ErrorCode::refused_object},
    Phrase{"could not find object", ErrorCode::refused_object},
    Phrase{"missing object", ErrorCode::refused_object},
    Phrase{"missing blob object", ErrorCode::refused_object},
    Phrase{"missing tree object", ErrorCode::refused_object},
    Phrase{"not valid", ErrorCode::refused_object},  // JGit: "want <oid> not valid"
    Phrase{"protocol error", ErrorCode::protocol},
    Phrase{"unknown capability", ErrorCode::protocol},
    Phrase{"unexpected line", ErrorCode::protocol},
    Phrase{"invalid command", ErrorCode::protocol},
    Phrase{"no command requested", ErrorCode::protocol},
    Phrase{"mismatched object format", ErrorCode::protocol},
    Phrase{"not supported", ErrorCode::not_supported},
    Phrase{"unsupported", ErrorCode::not_supported},
    Phrase{"access denied or repository not exported", ErrorCode::not_found},
    Phrase{"repository not found", ErrorCode::not_found},
    Phrase{"no such repository", ErrorCode::not_found},
    Phrase{"does not appear to be a git repository", ErrorCode::not_found},
    Phrase{"access denied", ErrorCode::forbidden},
    Phrase{"permission denied", ErrorCode::forbidden},
};

}  // namespace

std::string printable(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  const bool cut = text.size() > kMaxShownBytes;
  std::string shown(text.substr(0, kMaxShownBytes));
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  }
  return cut ? shown + "..." : shown;
}

Error server_error(std::string_view words) {
  std::string lower(words);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
  const auto phrase =
      std::ranges::find_if(kPhrases, [&](const Phrase& p) { return lower.find(p.words) != std::string::npos; });
  const ErrorCode code = phrase == kPhrases.end() ? ErrorCode::unavailable : phrase->code;
  std::string shown = printable(words);
  return {code, "the server refused", shown.empty() ? "it gave no reason" : std::move(shown)};
}

}  // namespace artifactfs
