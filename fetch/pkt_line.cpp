#include "fetch/pkt_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace artifactfs {

namespace {

constexpr size_t kLengthDigits = 4;

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::optional<size_t> parse_length(std::string_view digits) {
  size_t value = 0;
  for (const char c : digits) {
    size_t digit;
    if (c >= '0' && c <= '9') {
      digit = static_cast<size_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<size_t>(c - 'a') + 10;
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<size_t>(c - 'A') + 10;
    } else {
      return std::nullopt;
    }
    value = value * 16 + digit;
  }
  return value;
}

std::unexpected<Error> bad_length(std::string_view digits, std::string_view why) {
  std::string shown;
  for (const char c : digits) shown += (c >= ' ' && c < 0x7f) ? c : '?';
  return fail(ErrorCode::protocol, "cannot read the server's answer",
              fmt::format("'{}' {}", shown, why));  // often the start of some HTML page or a login banner
}

/// The whole length of the packet that begins with `digits`.
Result<size_t> packet_bytes(std::string_view digits) {
  const auto length = parse_length(digits);
  if (!length) return bad_length(digits, "is not a packet length");
  if (*length == 3) return bad_length(digits, "is not a valid packet length");
  if (*length > kPktLineMaxBytes) return bad_length(digits, "is longer than a packet may be");
  return std::max(*length, kLengthDigits);
}

PktLine to_packet(std::string_view packet) {
  switch (*parse_length(packet.substr(0, kLengthDigits))) {
    case 0:
      return {PktLine::Kind::flush, {}};
    case 1:
      return {PktLine::Kind::delim, {}};
    case 2:
      return {PktLine::Kind::response_end, {}};
    default:
      return {PktLine::Kind::data, packet.substr(kLengthDigits)};
  }
}

}  // namespace

std::string_view PktLine::text() const {
  std::string_view line = payload;
  if (line.ends_with('\n')) line.remove_suffix(1);
  return line;
}

std::optional<std::string_view> PktLine::error_words() const {
  if (kind != Kind::data || !payload.starts_with("ERR ")) return std::nullopt;
  return text().substr(kLengthDigits);
}

void PktLineWriter::data(std::string_view payload) {
  assert(payload.size() <= kPktLineMaxPayloadBytes);
  bytes_ += fmt::format("{:04x}", payload.size() + kLengthDigits);
  bytes_ += payload;
}

void PktLineWriter::text(std::string_view line) {
  assert(line.size() < kPktLineMaxPayloadBytes);
  bytes_ += fmt::format("{:04x}{}\n", line.size() + kLengthDigits + 1, line);
}

Result<std::optional<PktLine>> PktLineReader::next() {
  if (partial_taken_) partial_.clear();
  partial_taken_ = false;
  if (partial_.empty() && input_.size() >= kLengthDigits) {
    TRY_ASSIGN(const size_t length, packet_bytes(as_text(input_.first(kLengthDigits))));
    if (input_.size() >= length) {
      const PktLine packet = to_packet(as_text(input_.first(length)));
      input_ = input_.subspan(length);
      return packet;
    }
  }
  // The packet is cut: gather it, its length first.
  auto gather = [this](size_t until) {
    const size_t n = std::min(until - std::min(until, partial_.size()), input_.size());
    partial_ += as_text(input_.first(n));
    input_ = input_.subspan(n);
    return partial_.size() >= until;
  };
  if (!gather(kLengthDigits)) return std::nullopt;
  TRY_ASSIGN(const size_t length, packet_bytes(std::string_view(partial_).substr(0, kLengthDigits)));
  if (!gather(length)) return std::nullopt;
  partial_taken_ = true;
  return to_packet(partial_);
}

}  // namespace artifactfs
