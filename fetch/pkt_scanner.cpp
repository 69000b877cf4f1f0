#include "fetch/pkt_scanner.h"

#include <algorithm>
#include <charconv>

namespace artifactfs {

size_t PktScanner::feed(std::span<const std::byte> bytes) {
  size_t used = 0;
  while (used < bytes.size() && !at_end_ && !broken_) {
    if (payload_left_ == 0) {
      if (header_size_ == 0) marker_size_ = 0;
      header_[header_size_++] = static_cast<char>(bytes[used++]);
      if (header_size_ == sizeof header_) end_header();
      continue;
    }
    const size_t n = std::min(payload_left_, bytes.size() - used);
    for (size_t i = 0; i < n && marker_size_ < kMarkerSize; ++i) {
      marker_[marker_size_++] = static_cast<char>(bytes[used + i]);
    }
    used += n;
    payload_left_ -= n;
  }
  return used;
}

void PktScanner::end_header() {
  size_t length = 0;
  const auto [end, error] = std::from_chars(header_, header_ + sizeof header_, length, 16);
  header_size_ = 0;
  broken_ = error != std::errc() || end != header_ + sizeof header_ || length == 3;
  at_end_ = length == 0 && !broken_;
  payload_left_ = length > 4 ? length - 4 : 0;
}

}  // namespace artifactfs
