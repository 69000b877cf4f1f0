#include "fetch/fetch_request.h"

#include <fmt/format.h>

namespace artifactfs {

namespace {

constexpr size_t kMaxWordBytes = 60'000;  // leaves room for the keyword in a packet

Result<void> check_offered(const ServerCapabilities& server, const FetchRequest& request) {
  if (request.wants.empty()) return fail(ErrorCode::invalid_argument, "cannot fetch", "nothing is wanted");
  if (!request.filter.empty() && !server.fetch_filter)
    return fail(ErrorCode::not_supported, "cannot fetch with a filter", "the server does not offer filters");
  if ((request.deepen || !request.shallow.empty()) && !server.fetch_shallow)
    return fail(ErrorCode::not_supported, "cannot fetch a part of the history", "the server does not offer it");
  return check_sendable(request.filter);
}

}  // namespace

Result<void> check_sendable(std::string_view word) {
  if (word.size() > kMaxWordBytes || word.find_first_of(std::string_view("\n\0", 2)) != std::string_view::npos)
    return fail(ErrorCode::invalid_argument, "cannot ask the server", "a word cannot be sent in a packet");
  return {};
}

PktLineWriter begin_command(const ServerCapabilities& server, std::string_view name) {
  PktLineWriter packets;
  packets.text(fmt::format("command={}", name));
  if (!server.agent.empty()) packets.text("agent=artifactfs/" ARTIFACTFS_VERSION);
  if (server.object_format_advertised) packets.text("object-format=sha1");
  packets.delim();
  return packets;
}

Result<std::string> fetch_command(const ServerCapabilities& server, const FetchRequest& request, bool want_progress) {
  TRY(check_offered(server, request));
  PktLineWriter packets = begin_command(server, "fetch");
  packets.text("ofs-delta");  // and never thin-pack: the reader resolves deltas within the pack
  if (!want_progress) packets.text("no-progress");
  if (request.include_tag) packets.text("include-tag");
  for (const auto& oid : request.wants) packets.text("want " + oid.hex());
  for (const auto& oid : request.shallow) packets.text("shallow " + oid.hex());
  if (request.deepen) packets.text(fmt::format("deepen {}", *request.deepen));
  if (request.deepen_relative) packets.text("deepen-relative");
  if (!request.filter.empty()) packets.text("filter " + request.filter);
  for (const auto& oid : request.haves) packets.text("have " + oid.hex());
  packets.text("done");
  packets.flush();
  return packets.take();
}

}  // namespace artifactfs
