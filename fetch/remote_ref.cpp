#include "fetch/remote_ref.h"

#include "fetch/server_error.h"

namespace artifactfs {

namespace {

bool is_valid_component(std::string_view component) {
  return !component.empty() && !component.starts_with('.') && !component.ends_with(".lock");
}

std::string_view next_word(std::string_view& line) {
  const size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

std::unexpected<Error> bad_line(std::string_view line) {
  return fail(ErrorCode::protocol, "cannot read the server's list of refs", "'" + printable(line) + "' is no ref");
}

}  // namespace

bool is_valid_ref_name(std::string_view name) {
  if (name == "HEAD") return true;
  if (!name.starts_with("refs/") || name.ends_with('.')) return false;
  for (const char c : name) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) return false;
  }
  if (name.find_first_of("~^:?*[\\") != std::string_view::npos) return false;
  if (name.find("..") != std::string_view::npos || name.find("@{") != std::string_view::npos) return false;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    if (!is_valid_component(name.substr(begin, end - begin))) return false;
    begin = end + 1;
  }
  return true;
}

Result<std::optional<RemoteRef>> parse_ls_refs_line(std::string_view line) {
  std::string_view rest = line;
  RemoteRef ref;
  const std::string_view id = next_word(rest);
  if (id != "unborn") {
    const auto oid = ObjectId::from_hex(id);
    if (!oid) return bad_line(line);
    ref.oid = *oid;
  }
  ref.name = next_word(rest);
  if (ref.name.empty()) return bad_line(line);
  while (!rest.empty()) {
    const std::string_view attribute = next_word(rest);
    constexpr std::string_view kTarget = "symref-target:";
    constexpr std::string_view kPeeled = "peeled:";
    if (attribute.starts_with(kTarget)) {
      const std::string_view target = attribute.substr(kTarget.size());
      if (is_valid_ref_name(target)) ref.symbolic_target = target;
    } else if (attribute.starts_with(kPeeled)) {
      ref.peeled = ObjectId::from_hex(attribute.substr(kPeeled.size()));
      if (!ref.peeled) return bad_line(line);
    }
  }
  if (!is_valid_ref_name(ref.name)) return std::nullopt;
  return ref;
}

}  // namespace artifactfs
