// ObjectId: a git SHA-1 object name, 20 raw bytes, as a value. (SHA-256 repositories are refused when they are met.)
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace artifactfs {

enum class ObjectType : uint8_t { commit = 1, tree = 2, blob = 3, tag = 4 };  // values as in gitformat-pack

/// "commit", "tree", "blob" or "tag", as in object headers.
std::string_view to_string(ObjectType type);

struct ObjectId {
  static constexpr size_t kBytes = 20;
  static constexpr size_t kHexDigits = 40;
  std::array<std::byte, kBytes> bytes{};

  /// Parses exactly 40 lower- or upper-case hex digits.
  static std::optional<ObjectId> from_hex(std::string_view hex);
  /// Copies 20 raw bytes (`raw.size()` must be 20).
  static ObjectId from_raw(std::span<const std::byte> raw);

  std::string hex() const;
  bool is_null() const { return *this == ObjectId{}; }
  friend auto operator<=>(const ObjectId&, const ObjectId&) = default;
};

struct ObjectIdHash {
  size_t operator()(const ObjectId& id) const noexcept {
    size_t h;
    std::memcpy(&h, id.bytes.data(), sizeof h);  // ids are uniformly distributed
    return h;
  }
};

}  // namespace artifactfs

template <>
struct std::hash<artifactfs::ObjectId> : artifactfs::ObjectIdHash {};
