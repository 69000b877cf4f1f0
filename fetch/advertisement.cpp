#include "fetch/advertisement.h"

#include <algorithm>

#include "fetch/server_error.h"

namespace artifactfs {

namespace {

std::unexpected<Error> bad_advertisement(std::string cause) {
  return fail(ErrorCode::protocol, "cannot read the server's advertisement", std::move(cause));
}

}  // namespace

Result<bool> AdvertisementParser::take(const PktLine& packet) {
  if (packet.kind == PktLine::Kind::flush) {
    if (state_ == State::start) advertisement_.capabilities.protocol_version = 0;  // old servers: an empty repository
    return true;
  }
  if (packet.kind != PktLine::Kind::data) return bad_advertisement("it has a delimiter");
  if (const auto words = packet.error_words()) return fail(server_error(*words));
  const std::string_view line = packet.text();
  if (++lines_ > (state_ == State::capabilities ? kMaxCapabilities : kMaxRefs))
    return bad_advertisement("it is too long");
  if (state_ == State::start && line == "version 2") {
    state_ = State::capabilities;
    return false;
  }
  if (state_ == State::capabilities) {
    apply_v2_capability(advertisement_.capabilities, line);
    return false;
  }
  if (state_ == State::start) {
    state_ = State::refs;
    advertisement_.capabilities.protocol_version = line == "version 1" ? 1 : 0;
    if (line == "version 1") return false;
  }
  TRY(take_ref(line));
  return false;
}

Result<void> AdvertisementParser::take_ref(std::string_view line) {
  constexpr std::string_view kShallow = "shallow ";
  if (capabilities_seen_ && line.starts_with(kShallow)) return {};
  if (!capabilities_seen_) {
    const size_t nul = line.find('\0');
    if (nul == std::string_view::npos)
      return bad_advertisement("'" + printable(line) + "' is no git server's greeting");
    take_v0_capabilities(line.substr(nul + 1));
    line = line.substr(0, nul);
    capabilities_seen_ = true;
    if (!check_object_format(advertisement_.capabilities)) return {};  // reported by finish(); ids have another length
  }
  if (advertisement_.capabilities.object_format != "sha1") return {};
  const size_t space = line.find(' ');
  const auto oid = ObjectId::from_hex(line.substr(0, space));
  if (!oid || space == std::string_view::npos) return bad_advertisement("'" + printable(line) + "' is no ref");
  add_ref(line.substr(space + 1), *oid);
  return {};
}

void AdvertisementParser::take_v0_capabilities(std::string_view list) {
  ServerCapabilities& capabilities = advertisement_.capabilities;
  capabilities.fetch_shallow = has_word(list, "shallow");
  capabilities.fetch_filter = has_word(list, "filter");
  while (!list.empty()) {
    const size_t end = std::min(list.find(' '), list.size());
    const std::string_view word = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    constexpr std::string_view kSymref = "symref=";
    if (word.starts_with("agent=") || word.starts_with("object-format=")) apply_v2_capability(capabilities, word);
    const size_t colon = word.find(':');
    if (word.starts_with(kSymref) && colon != std::string_view::npos)
      symrefs_.emplace_back(word.substr(kSymref.size(), colon - kSymref.size()), word.substr(colon + 1));
  }
}

void AdvertisementParser::add_ref(std::string_view name, const ObjectId& oid) {
  constexpr std::string_view kPeeled = "^{}";
  auto& refs = advertisement_.refs;
  if (name.ends_with(kPeeled)) {  // of the ref just before; "capabilities^{}" of an empty repository belongs to none
    name.remove_suffix(kPeeled.size());
    if (!refs.empty() && refs.back().name == name) refs.back().peeled = oid;
    return;
  }
  if (!is_valid_ref_name(name)) return;
  refs.push_back({std::string(name), oid, std::nullopt, std::nullopt});
}

Result<Advertisement> AdvertisementParser::finish() {
  TRY(check_object_format(advertisement_.capabilities));
  auto& refs = advertisement_.refs;
  for (const auto& [name, target] : symrefs_) {
    if (!is_valid_ref_name(target)) continue;
    const auto ref = std::ranges::find(refs, name, &RemoteRef::name);
    if (ref != refs.end()) {
      ref->symbolic_target = target;
    } else if (name == "HEAD") {  // unborn
      refs.push_back({name, ObjectId{}, std::nullopt, target});
    }
  }
  return std::move(advertisement_);
}

}  // namespace artifactfs
