// pkt-lines: the framing of git's wire protocol (gitprotocol-common(5)): four hex digits of length, itself included,
// then the payload; lengths 0 to 2 are the special packets flush, delim (0001) and response-end (0002).
//
// PktLineWriter builds requests; PktLineReader takes answers apart, fed slices cut anywhere. Both are pure (no I/O) and
// not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace artifactfs {

constexpr size_t kPktLineMaxBytes = 65520;  // with the four length digits
constexpr size_t kPktLineMaxPayloadBytes = kPktLineMaxBytes - 4;

struct PktLine {
  enum class Kind : uint8_t { data, flush, delim, response_end };
  Kind kind = Kind::flush;
  std::string_view payload;  // of data; borrowed from the reader

  /// The payload without the one newline that text packets may end with.
  std::string_view text() const;
  /// The server's words when this is an error packet ("ERR <words>").
  std::optional<std::string_view> error_words() const;
};

/// Appends packets to a string.
class PktLineWriter {
 public:
  /// `payload` has at most kPktLineMaxPayloadBytes.
  void data(std::string_view payload);
  /// A text packet; the newline that gitprotocol-common asks for is added.
  void text(std::string_view line);
  void flush() { bytes_ += "0000"; }
  void delim() { bytes_ += "0001"; }
  void response_end() { bytes_ += "0002"; }
  /// What has been written; the writer is empty then.
  std::string take() { return std::exchange(bytes_, {}); }

 private:
  std::string bytes_;
};

class PktLineReader {
 public:
  /// The next bytes; they must stay valid until next() has answered nullopt, and only then may more be fed.
  void feed(std::span<const std::byte> bytes) { input_ = bytes; }
  /// The next whole packet (its payload is valid until the following next() or feed()), or nullopt when more bytes are
  /// needed. ErrorCode::protocol when the bytes are no pkt-line; then every further call fails the same way.
  Result<std::optional<PktLine>> next();
  /// True when no packet has been begun.
  bool at_boundary() const { return input_.empty() && (partial_.empty() || partial_taken_); }

 private:
  std::span<const std::byte> input_;
  std::string partial_;         // a packet that began in an earlier slice
  bool partial_taken_ = false;  // its payload has been handed out: forget it at the next call
};

}  // namespace artifactfs
