// parse_raw_tree (tree.h): raw git tree objects, with every check that makes their names safe to show.
#include <cstring>

#include "cache/tree.h"
#include "cache/tree_row.h"

namespace artifactfs {

namespace {

// No path that a system call takes has a longer name (PATH_MAX is 4096 with its NUL), and the row format has 16 bits.
constexpr size_t kMaxNameBytes = 4095;
// Git keeps modes in 16 bits; nothing writes more than two leading zeros.
constexpr size_t kMaxModeDigits = 8;

// The name in an error message: git names may be any bytes, a log line may not.
std::string printable(std::string_view name) {
  std::string text;
  for (const char c : name.substr(0, 255)) text += c >= ' ' && c < 0x7f ? c : '?';
  return text;
}

std::unexpected<Error> refuse(const ObjectId& oid, std::string cause) {
  return fail(ErrorCode::corrupt, "cannot use tree '" + oid.hex() + "'", std::move(cause));
}

// As git's canon_mode (object.h): any regular file is 0644 or, with the owner's x bit, 0755; historic trees have
// 100664. Where git takes any other type for a submodule, this refuses it: 0.
uint32_t canonical_mode(uint32_t mode) {
  switch (mode & 0170000) {
    case 0100000:
      return (mode & 0100) != 0 ? 0100755 : 0100644;
    case 0120000:
      return 0120000;
    case 0040000:
      return 0040000;
    case 0160000:
      return 0160000;
    default:
      return 0;
  }
}

// True when a file of this directory's name stands before it. Whatever lies between the two begins with that name.
bool has_file_called(std::span<const RawTreeEntry> before, std::string_view name) {
  for (size_t i = before.size(); i-- > 0;) {
    if (!before[i].name.starts_with(name)) return false;
    if (before[i].name.size() == name.size()) return true;
  }
  return false;
}

}  // namespace

Result<std::vector<RawTreeEntry>> parse_raw_tree(const ObjectId& oid, std::span<const std::byte> content) {
  std::vector<RawTreeEntry> entries;
  entries.reserve(content.size() / 36);  // a mode, a short name, an oid
  const auto* at = reinterpret_cast<const char*>(content.data());
  const char* const end = at + content.size();
  while (at < end) {
    uint32_t mode = 0;
    const char* const mode_begin = at;
    while (at < end && *at >= '0' && *at <= '7' && at - mode_begin <= static_cast<ptrdiff_t>(kMaxModeDigits)) {
      mode = mode * 8 + static_cast<uint32_t>(*at++ - '0');
    }
    if (at == mode_begin || at == end || *at != ' ') return refuse(oid, "an entry has a malformed mode");
    ++at;
    const auto* name_end = static_cast<const char*>(std::memchr(at, '\0', static_cast<size_t>(end - at)));
    if (name_end == nullptr || end - name_end < static_cast<ptrdiff_t>(1 + ObjectId::kBytes)) {
      return refuse(oid, "it is truncated");
    }
    const std::string_view name(at, static_cast<size_t>(name_end - at));
    const auto refuse_entry = [&](const char* cause) {
      return refuse(oid, "its entry '" + printable(name) + "' " + cause);
    };
    const uint32_t canonical = mode > 0177777 ? 0 : canonical_mode(mode);
    if (canonical == 0) return refuse_entry("has an unknown mode");
    if (name.size() > kMaxNameBytes) return refuse_entry("has too long a name");
    if (is_refused_name(name, canonical == 0120000)) return refuse_entry("has a name that git refuses to check out");
    const bool is_directory = canonical == 0040000;
    if (!entries.empty()) {
      const RawTreeEntry& previous = entries.back();
      const int order = compare_tree_names(previous.name, previous.mode == 0040000, name, is_directory);
      if (order == 0 || (is_directory && has_file_called(entries, name))) return refuse_entry("is there twice");
      if (order > 0) return refuse_entry("is out of order");
    }
    entries.push_back(
        {canonical, name, ObjectId::from_raw({reinterpret_cast<const std::byte*>(name_end + 1), ObjectId::kBytes})});
    at = name_end + 1 + ObjectId::kBytes;
  }
  return entries;
}

}  // namespace artifactfs
