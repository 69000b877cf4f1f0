// PackBuilder: packs made by hand, also ones that git would never make.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/object_id.h"

namespace artifactfs::testing {

constexpr unsigned kOffsetDelta = 6;
constexpr unsigned kReferenceDelta = 7;

std::span<const std::byte> bytes_of(std::string_view text);
std::string deflated(std::string_view content);
/// The type and size that begin an entry.
std::string entry_header(unsigned type, uint64_t size_bytes);
/// How far back an offset delta's base is, as gitformat-pack writes it.
std::string base_distance(uint64_t distance);

class PackBuilder {
 public:
  explicit PackBuilder(uint32_t object_count);

  uint64_t size() const { return bytes_.size(); }
  /// These return the entry's offset.
  uint64_t add(ObjectType type, std::string_view content);
  uint64_t add_offset_delta(uint64_t base_offset, std::string_view delta);
  uint64_t add_reference_delta(const ObjectId& base, std::string_view delta);
  /// Anything at all.
  uint64_t add_raw(std::string_view bytes);
  /// The pack with its checksum.
  std::string finish() const;

 private:
  std::string bytes_;
};

/// A delta, instruction by instruction.
class DeltaBuilder {
 public:
  DeltaBuilder(uint64_t base_bytes, uint64_t result_bytes);
  DeltaBuilder& copy(uint32_t offset, uint32_t size_bytes);
  DeltaBuilder& insert(std::string_view text);
  DeltaBuilder& raw(std::string_view bytes);
  const std::string& text() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace artifactfs::testing
