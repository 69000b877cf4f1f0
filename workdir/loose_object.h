// LooseObject: the bytes of a blob as a loose object of git whose every byte can be found without making the others.
//
// A loose object is a zlib stream (RFC 1950) of "blob <size>\0<content>". With stored blocks (RFC 1951, 3.2.4) its
// length and layout follow from the blob's size alone:
//   78 01 | block(header) | block(65535 bytes of content) ... | Adler-32, big-endian
//   block: 1 byte "last?", 2 bytes length, 2 bytes ~length (little-endian), data
// So a stat needs the blob's size but not its content, and a read only the content that it covers (the checksum at the
// end covers all). Deflating would need the whole blob in memory before its first byte.
//
// A value; no I/O.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace artifactfs {

class LooseObject {
 public:
  explicit LooseObject(uint64_t blob_bytes);

  uint64_t file_bytes() const { return file_bytes_; }
  uint64_t blob_bytes() const { return blob_bytes_; }
  /// What the Adler-32 is computed over before the content.
  const std::string& header() const { return header_; }

  /// The content bytes that lie in the file's bytes [begin, end): [first, second).
  std::pair<uint64_t, uint64_t> content_range(uint64_t begin, uint64_t end) const;
  /// Whether [begin, end) holds a byte of the checksum.
  bool needs_checksum(uint64_t end) const { return end > file_bytes_ - 4; }
  /// Fills `out` with the file's bytes from `begin`. `content` is content_range() of them.
  void fill(uint64_t begin, std::span<std::byte> out, std::span<const std::byte> content, uint32_t checksum) const;

 private:
  /// How many content bytes lie before the file's byte `position`.
  uint64_t content_before(uint64_t position) const;

  uint64_t blob_bytes_;
  std::string header_;
  std::string prefix_;  // everything before the first block of content
  uint64_t file_bytes_;
};

}  // namespace artifactfs
