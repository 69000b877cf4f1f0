// is_refused_name (tree.h): git's rules about path components, with core.protectHFS and core.protectNTFS both on:
// verify_path and verify_dotfile (read-cache.c), is_hfs_dotgit (utf8.c), is_ntfs_dotgit, is_ntfs_dotgitmodules
// (path.c). Both protections are on whatever this machine is, because a tree travels on: a commit made in the mount is
// checked out elsewhere.
#include <algorithm>
#include <array>
#include <cstdint>

#include "cache/tree.h"

namespace artifactfs {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// `lowercase` must be lower case.
bool starts_with_ignoring_case(std::string_view text, std::string_view lowercase) {
  return text.size() >= lowercase.size() &&
         std::equal(lowercase.begin(), lowercase.end(), text.begin(), [](char l, char c) { return l == lower(c); });
}

bool equals_ignoring_case(std::string_view text, std::string_view lowercase) {
  return text.size() == lowercase.size() && starts_with_ignoring_case(text, lowercase);
}

// --- HFS+ -----------------------------------------------------------------------------------------------------------

bool is_continuation(std::string_view text, size_t at) {
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
}

// Takes one code point off `text`. Malformed UTF-8 and the end both read as 0, as in git.
char32_t take_code_point(std::string_view& text) {
  if (text.empty()) return 0;
  const auto byte = [&](size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
  const char32_t first = byte(0);
  const size_t length = first < 0x80             ? 1
                        : (first & 0xe0) == 0xc0 ? 2
                        : (first & 0xf0) == 0xe0 ? 3
                        : (first & 0xf8) == 0xf0 ? 4
                                                 : 0;
  char32_t value = length <= 1 ? first : first & (0xffU >> (length + 1));
  bool valid = length != 0;
  for (size_t i = 1; valid && i < length; ++i) {
    valid = is_continuation(text, i);
    if (valid) value = (value << 6) | (byte(i) & 0x3f);
  }
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  valid = valid && value >= kLeast[length] && value <= 0x10ffff && !(value >= 0xd800 && value <= 0xdfff) &&
          value != 0xfffe && value != 0xffff;
  if (!valid) {
    text = {};
    return 0;
  }
  text.remove_prefix(length);
  return value;
}

// Code points that HFS+ drops when it compares names
// (https://developer.apple.com/library/archive/technotes/tn/tn1150.html).
bool hfs_ignores(char32_t c) {
  return (c >= 0x200c && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x206a && c <= 0x206f) || c == 0xfeff;
}

char32_t take_hfs_code_point(std::string_view& text) {
  char32_t c = take_code_point(text);
  while (hfs_ignores(c)) c = take_code_point(text);
  return c;
}

// "." + `rest`, seen as HFS+ sees it. A name that goes on with malformed UTF-8 counts as ending there.
bool is_hfs_dot(std::string_view name, std::string_view rest) {
  if (take_hfs_code_point(name) != '.') return false;
  for (const char wanted : rest) {
    const char32_t c = take_hfs_code_point(name);
    if (c > 127 || lower(static_cast<char>(c)) != wanted) return false;
  }
  return take_hfs_code_point(name) == 0;
}

// --- NTFS -----------------------------------------------------------------------------------------------------------

// What may follow a name without NTFS seeing another name: dots and spaces (trimmed), then the end or a ":stream".
bool only_spaces_and_periods(std::string_view text, bool backslash_ends) {
  for (const char c : text) {
    if (c == ':' || (backslash_ends && c == '\\')) return true;
    if (c != ' ' && c != '.') return false;
  }
  return true;
}

bool is_ntfs_dotgit(std::string_view name) {
  if (starts_with_ignoring_case(name, ".git")) return only_spaces_and_periods(name.substr(4), true);
  if (starts_with_ignoring_case(name, "git~1")) return only_spaces_and_periods(name.substr(5), true);
  return false;
}

// The short name NTFS makes up when "gitmod~1" to "~4" are taken: the first letters of a hash, a tilde, digits; eight
// characters in all (https://en.wikipedia.org/wiki/8.3_filename).
bool is_fallback_short_name(std::string_view name, std::string_view hash_prefix) {
  if (name.size() < 8) return false;
  bool saw_tilde = false;
  for (size_t i = 0; i < 8; ++i) {
    const char c = name[i];
    if (saw_tilde) {
      if (c < '0' || c > '9') return false;
    } else if (c == '~') {
      ++i;
      if (i >= name.size() || name[i] < '1' || name[i] > '9') return false;
      saw_tilde = true;
    } else if (i >= hash_prefix.size() || lower(c) != hash_prefix[i]) {
      return false;
    }
  }
  return true;
}

bool is_ntfs_dotgitmodules(std::string_view name) {
  constexpr std::string_view kName = "gitmodules";
  constexpr std::string_view kHashPrefix = "gi7eba";
  if (!name.empty() && name.front() == '.' && starts_with_ignoring_case(name.substr(1), kName)) {
    return only_spaces_and_periods(name.substr(1 + kName.size()), false);
  }
  if (starts_with_ignoring_case(name, kName.substr(0, 6)) && name.size() >= 8 && name[6] == '~' && name[7] >= '1' &&
      name[7] <= '4') {
    return only_spaces_and_periods(name.substr(8), false);
  }
  return is_fallback_short_name(name, kHashPrefix) && only_spaces_and_periods(name.substr(8), false);
}

bool is_refused_on_ntfs(std::string_view name, bool is_symlink) {
  return is_ntfs_dotgit(name) || (is_symlink && is_ntfs_dotgitmodules(name));
}

}  // namespace

bool is_refused_name(std::string_view name, bool is_symlink) {
  if (name.empty() || name == "." || name == "..") return true;
  if (name.find('/') != std::string_view::npos || name.find('\0') != std::string_view::npos) return true;
  // Every look-alike begins with a dot, a "g", a tilde or (HFS+'s ignorable code points) a byte above 127, or has a
  // backslash.
  const char first = lower(name.front());
  const bool has_backslash = name.find('\\') != std::string_view::npos;
  if (first != '.' && first != 'g' && first != '~' && static_cast<unsigned char>(first) < 0x80 && !has_backslash)
    return false;
  if (equals_ignoring_case(name, ".git")) return true;
  if (is_symlink && equals_ignoring_case(name, ".gitmodules")) return true;
  if (is_hfs_dot(name, "git") || (is_symlink && is_hfs_dot(name, "gitmodules"))) return true;
  if (is_refused_on_ntfs(name, is_symlink)) return true;
  // A backslash separates directories there. Git looks only past the first character, and so does this: "\.git" passes.
  for (size_t i = name.find('\\', 1); i != std::string_view::npos; i = name.find('\\', i + 1)) {
    if (is_refused_on_ntfs(name.substr(i + 1), is_symlink)) return true;
  }
  return false;
}

}  // namespace artifactfs
