#include "fetch/fetch_answer.h"

#include <fmt/format.h>

#include "fetch/server_error.h"

namespace artifactfs {

namespace {

std::unexpected<Error> bad_answer(std::string cause) {
  return fail(ErrorCode::protocol, "cannot read the server's answer to a fetch", std::move(cause));
}

}  // namespace

FetchAnswerParser::FetchAnswerParser(PackReader& reader, const Progress& progress, const PackBytes& pack_bytes)
    : reader_(reader), progress_(progress), pack_bytes_(pack_bytes), objects_before_(reader.objects_done()) {}

Result<bool> FetchAnswerParser::take(const PktLine& packet) {
  switch (packet.kind) {
    case PktLine::Kind::flush:
      TRY(end());
      return true;
    case PktLine::Kind::delim:
      if (section_ == Section::none || section_ == Section::packfile) return bad_answer("it has a misplaced delimiter");
      section_ = Section::none;
      return false;
    case PktLine::Kind::response_end:
      return bad_answer("it has a misplaced response end");
    case PktLine::Kind::data:
      break;
  }
  if (section_ == Section::packfile) {
    TRY(take_band(packet.payload));
    return false;
  }
  if (const auto words = packet.error_words()) return fail(server_error(*words));
  if (section_ == Section::none)
    TRY(begin_section(packet.text()));
  else if (section_ == Section::shallow_info)
    TRY(take_shallow_info(packet.text()));
  // The lines of the other sections tell nothing that we asked for.
  return false;
}

Result<void> FetchAnswerParser::begin_section(std::string_view name) {
  if (name == "packfile") {
    section_ = Section::packfile;
  } else if (name == "shallow-info") {
    section_ = Section::shallow_info;
  } else if (name == "acknowledgments") {
    section_ = Section::acknowledgments;
  } else if (name == "wanted-refs") {
    section_ = Section::wanted_refs;
  } else {
    return bad_answer("'" + printable(name) + "' is not a section that was asked for");
  }
  return {};
}

Result<void> FetchAnswerParser::take_shallow_info(std::string_view line) {
  constexpr std::string_view kShallow = "shallow ";
  constexpr std::string_view kUnshallow = "unshallow ";
  const bool shallow = line.starts_with(kShallow);
  if (!shallow && !line.starts_with(kUnshallow)) return bad_answer("'" + printable(line) + "' is no shallow line");
  const auto oid = ObjectId::from_hex(line.substr(shallow ? kShallow.size() : kUnshallow.size()));
  if (!oid) return bad_answer("'" + printable(line) + "' is no shallow line");
  (shallow ? answer_.shallow : answer_.unshallow).push_back(*oid);
  return {};
}

Result<void> FetchAnswerParser::take_band(std::string_view payload) {
  if (payload.empty()) return bad_answer("a packet names no band");
  const std::string_view content = payload.substr(1);
  switch (payload[0]) {
    case 1:
      return take_pack(content);
    case 2:
      take_progress(content);
      return {};
    case 3:
      return fail(server_error(content));
    default:
      // A server that dies says so without a band.
      if (payload.starts_with("ERR ")) return fail(server_error(payload.substr(4)));
      return bad_answer(fmt::format("there is no band {}", static_cast<unsigned char>(payload[0])));
  }
}

Result<void> FetchAnswerParser::take_pack(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  if (bytes.empty()) return {};  // a server shows that it is alive
  answer_.pack_bytes += bytes.size();
  if (pack_bytes_) TRY(pack_bytes_(bytes));
  auto fed = reader_.feed(bytes);
  answer_.objects = reader_.objects_done() - objects_before_;
  return fed;
}

void FetchAnswerParser::take_progress(std::string_view text) {
  if (!progress_) return;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || progress_line_.size() == kMaxProgressLineBytes) flush_progress();
    if (c != '\n' && c != '\r') progress_line_ += c;
  }
}

void FetchAnswerParser::flush_progress() {
  if (!progress_line_.empty() && progress_) progress_(progress_line_);
  progress_line_.clear();
}

Result<void> FetchAnswerParser::end() {
  flush_progress();
  if (section_ != Section::packfile) return bad_answer("it has no pack");
  return reader_.finish();
}

}  // namespace artifactfs
