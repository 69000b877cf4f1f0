// PktScanner: finds the flush-pkt that ends an answer on a stateful connection (gitprotocol-common(5): pkt-lines begin
// with their length in four hex digits; 0000 is flush, 0001 delimiter, 0002 response end). It looks at lengths only;
// what the lines say is protocol.h's business.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace artifactfs {

class PktScanner {
 public:
  /// Takes the next bytes and returns how many belong to this answer: all, or those up to its flush-pkt's end.
  size_t feed(std::span<const std::byte> bytes);

  bool at_end() const { return at_end_; }
  /// A length was not one: this is no pkt-line stream.
  bool broken() const { return broken_; }
  /// The last pkt-line was "ERR ...": nothing more comes.
  bool last_was_error() const {
    return payload_left_ == 0 && header_size_ == 0 && std::string_view(marker_, marker_size_) == kErrorMarker;
  }

 private:
  static constexpr size_t kMarkerSize = 4;
  static constexpr std::string_view kErrorMarker = "ERR ";
  void end_header();

  char header_[4] = {};
  size_t header_size_ = 0;
  size_t payload_left_ = 0;
  char marker_[kMarkerSize] = {};  // the first bytes of the last payload
  size_t marker_size_ = 0;
  bool at_end_ = false;
  bool broken_ = false;
};

}  // namespace artifactfs
