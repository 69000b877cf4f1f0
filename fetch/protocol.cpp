#include "fetch/protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <unordered_map>
#include <utility>

#include "fetch/answer_reader.h"
#include "fetch/server_error.h"

namespace artifactfs {

namespace {

constexpr std::chrono::milliseconds kCancellationCheckInterval{50};

bool is_cancelled(const Cancellation* cancellation) { return cancellation != nullptr && cancellation->cancelled(); }

std::unexpected<Error> needs_v2(std::string sentence, const ServerCapabilities& server) {
  return fail(ErrorCode::not_supported, std::move(sentence),
              fmt::format("the server speaks protocol version {} only, version 2 is needed", server.protocol_version));
}

bool is_asked_for(const RemoteRef& ref, std::span<const std::string> prefixes) {
  return prefixes.empty() || ref.name == "HEAD" ||
         std::ranges::any_of(prefixes, [&](const std::string& prefix) { return ref.name.starts_with(prefix); });
}

/// A line of an object-info answer: "<oid> <size>"; git 2.39 leaves the size empty for an id that it does not have.
Result<std::pair<ObjectId, std::optional<uint64_t>>> parse_object_info(std::string_view line) {
  auto bad = [&] {
    return fail(ErrorCode::protocol, "cannot read the server's object sizes", "'" + printable(line) + "' is no size");
  };
  const std::string_view id = line.substr(0, line.find(' '));
  const auto oid = ObjectId::from_hex(id);
  if (!oid) return bad();
  const std::string_view digits = line.substr(std::min(id.size() + 1, line.size()));
  if (digits.empty()) return std::pair(*oid, std::optional<uint64_t>());
  uint64_t size = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
  if (error != std::errc() || end != digits.data() + digits.size()) return bad();
  return std::pair(*oid, std::optional(size));
}

}  // namespace

ProtocolClient::ProtocolClient(Transport& transport, std::optional<ServerCapabilities> known) : transport_(transport) {
  MutexLock lock(mutex_);
  if (known) capabilities_ = Capabilities{std::move(*known), false};
}

// ---- capabilities

Result<Advertisement> ProtocolClient::ask(Cancellation* cancellation) {
  if (is_cancelled(cancellation)) return fail_cancelled();
  TRY_ASSIGN(auto response, transport_.advertisement());
  AnswerReader answer(std::move(response), cancellation);
  AdvertisementParser parser;
  for (bool done = false; !done;) {
    TRY_ASSIGN(const PktLine packet, answer.next());
    TRY_ASSIGN(done, parser.take(packet));
  }
  answer.drain();
  return parser.finish();
}

Result<ProtocolClient::Capabilities> ProtocolClient::current(Cancellation* cancellation) {
  MutexLock lock(mutex_);
  while (asking_ && !capabilities_) {
    if (is_cancelled(cancellation)) return fail_cancelled();
    // Cancellation knows responses only, not us: look again now and then.
    asked_.wait_until(lock, std::chrono::steady_clock::now() + kCancellationCheckInterval);
  }
  if (capabilities_) return *capabilities_;
  asking_ = true;
  lock.unlock();
  auto asked = ask(cancellation);
  lock.lock();
  asking_ = false;
  asked_.notify_all();
  if (!asked) return fail(std::move(asked).error());
  capabilities_ = Capabilities{asked->capabilities, true};
  if (asked->capabilities.protocol_version < 2) advertised_refs_ = std::move(asked->refs);
  return *capabilities_;
}

Result<ServerCapabilities> ProtocolClient::capabilities(Cancellation* cancellation) {
  TRY_ASSIGN(Capabilities found, current(cancellation));
  return std::move(found.server);
}

void ProtocolClient::confirm() {
  MutexLock lock(mutex_);
  if (capabilities_) capabilities_->confirmed = true;
}

void ProtocolClient::forget_unconfirmed() {
  MutexLock lock(mutex_);
  if (capabilities_ && !capabilities_->confirmed) capabilities_.reset();
}

template <typename Command>
auto ProtocolClient::with_capabilities(Cancellation* cancellation, Command command)
    -> decltype(command(ServerCapabilities(), std::declval<Attempt&>())) {
  TRY_ASSIGN(const Capabilities first, current(cancellation));
  Attempt attempt;
  auto result = command(first.server, attempt);
  if (first.confirmed) return result;
  if (result) {
    confirm();
    return result;
  }
  const ErrorCode code = result.error().code;
  const bool misled = code == ErrorCode::protocol || code == ErrorCode::not_supported ||
                      (code == ErrorCode::unavailable && attempt.cut_at_start);
  if (!misled || attempt.delivered) return result;
  forget_unconfirmed();
  TRY_ASSIGN(const Capabilities fresh, current(cancellation));
  Attempt repeated;
  return command(fresh.server, repeated);
}

template <typename Take>
Result<void> ProtocolClient::exchange(std::string request, Cancellation* cancellation, Attempt& attempt, Take take) {
  if (is_cancelled(cancellation)) return fail_cancelled();
  auto response = transport_.command(std::move(request));
  if (is_cancelled(cancellation)) return fail_cancelled();
  if (!response) return fail(std::move(response).error());
  AnswerReader answer(std::move(*response), cancellation);
  for (bool done = false; !done;) {
    auto packet = answer.next();
    attempt.cut_at_start = answer.cut_at_start();
    if (!packet) return fail(std::move(packet).error());
    TRY_ASSIGN(done, take(*packet));
  }
  answer.drain();
  return {};
}

// ---- ls-refs

Result<std::vector<RemoteRef>> ProtocolClient::ls_refs(std::span<const std::string> prefixes,
                                                       Cancellation* cancellation) {
  for (const auto& prefix : prefixes) TRY(check_sendable(prefix));
  TRY_ASSIGN(auto refs, with_capabilities(cancellation, [&](const ServerCapabilities& server, Attempt& attempt) {
               return server.protocol_version < 2 ? advertised_refs(cancellation)
                                                  : ls_refs_v2(server, prefixes, cancellation, attempt);
             }));
  std::erase_if(refs, [&](const RemoteRef& ref) { return !is_asked_for(ref, prefixes); });
  return refs;
}

Result<std::vector<RemoteRef>> ProtocolClient::ls_refs_v2(const ServerCapabilities& server,
                                                          std::span<const std::string> prefixes,
                                                          Cancellation* cancellation, Attempt& attempt) {
  PktLineWriter request = begin_command(server, "ls-refs");
  request.text("peel");
  request.text("symrefs");
  if (server.ref_prefix_unborn) request.text("unborn");
  if (!prefixes.empty()) request.text("ref-prefix HEAD");
  for (const auto& prefix : prefixes) request.text("ref-prefix " + prefix);
  request.flush();
  std::vector<RemoteRef> refs;
  size_t lines = 0;
  TRY(exchange(request.take(), cancellation, attempt, [&](const PktLine& packet) -> Result<bool> {
    if (packet.kind == PktLine::Kind::flush) return true;
    if (const auto words = packet.error_words()) return fail(server_error(*words));
    if (packet.kind != PktLine::Kind::data || ++lines > AdvertisementParser::kMaxRefs)
      return fail(ErrorCode::protocol, "cannot read the server's list of refs",
                  lines > AdvertisementParser::kMaxRefs ? "it is too long" : "it has a delimiter");
    TRY_ASSIGN(auto ref, parse_ls_refs_line(packet.text()));
    if (ref) refs.push_back(std::move(*ref));
    return false;
  }));
  return refs;
}

Result<std::vector<RemoteRef>> ProtocolClient::advertised_refs(Cancellation* cancellation) {
  {
    MutexLock lock(mutex_);
    if (auto refs = std::exchange(advertised_refs_, std::nullopt)) return std::move(*refs);
  }
  TRY_ASSIGN(Advertisement asked, ask(cancellation));
  if (asked.capabilities.protocol_version < 2) return std::move(asked.refs);
  return fail(ErrorCode::protocol, "cannot list the server's refs", "the server has changed its protocol version");
}

// ---- fetch

Result<FetchAnswer> ProtocolClient::fetch(
    const FetchRequest& request, PackReader& reader, const std::function<void(std::string_view)>& progress,
    const std::function<Result<void>(std::span<const std::byte>)>& pack_bytes_sink, Cancellation* cancellation) {
  return with_capabilities(
      cancellation, [&](const ServerCapabilities& server, Attempt& attempt) -> Result<FetchAnswer> {
        if (server.protocol_version < 2) return needs_v2("cannot fetch objects", server);
        TRY_ASSIGN(std::string command, fetch_command(server, request, static_cast<bool>(progress)));
        FetchAnswerParser parser(reader, progress, pack_bytes_sink);
        TRY(exchange(std::move(command), cancellation, attempt, [&](const PktLine& packet) {
          auto done = parser.take(packet);
          attempt.delivered = parser.answer().pack_bytes > 0;
          return done;
        }));
        return parser.answer();
      });
}

// ---- object-info

Result<std::vector<std::optional<uint64_t>>> ProtocolClient::object_sizes(std::span<const ObjectId> oids,
                                                                          Cancellation* cancellation) {
  if (oids.empty()) return std::vector<std::optional<uint64_t>>();
  std::unordered_map<ObjectId, std::optional<uint64_t>> sizes;
  TRY(with_capabilities(cancellation, [&](const ServerCapabilities& server, Attempt& attempt) -> Result<void> {
    if (server.protocol_version < 2) return needs_v2("cannot ask for object sizes", server);
    if (!server.object_info)
      return fail(ErrorCode::not_supported, "cannot ask for object sizes", "the server does not offer object-info");
    PktLineWriter command = begin_command(server, "object-info");
    command.text("size");
    for (const auto& oid : oids) command.text("oid " + oid.hex());
    command.flush();
    sizes.clear();
    for (const auto& oid : oids) sizes.emplace(oid, std::nullopt);
    return exchange(command.take(), cancellation, attempt, [&](const PktLine& packet) -> Result<bool> {
      if (packet.kind == PktLine::Kind::flush) return true;
      if (const auto words = packet.error_words()) return fail(server_error(*words));
      if (packet.kind != PktLine::Kind::data)
        return fail(ErrorCode::protocol, "cannot read the server's object sizes", "they have a delimiter");
      if (packet.text() == "size") return false;  // names the columns
      TRY_ASSIGN(const auto info, parse_object_info(packet.text()));
      if (const auto asked = sizes.find(info.first); asked != sizes.end()) asked->second = info.second;
      return false;
    });
  }));
  std::vector<std::optional<uint64_t>> answer;
  answer.reserve(oids.size());
  for (const auto& oid : oids) answer.push_back(sizes.at(oid));
  return answer;
}

}  // namespace artifactfs
