// Sha1: incremental SHA-1 (OpenSSL's, which uses the CPU's SHA instructions), and the name of a git object.
// One instance per thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/object_id.h"

namespace artifactfs {

class Sha1 {
 public:
  Sha1();
  ~Sha1();
  Sha1(Sha1&&) noexcept;
  Sha1& operator=(Sha1&&) noexcept;

  /// Starts over, hashing a git object header "<type> <size>\0" first.
  void begin_object(ObjectType type, uint64_t size_bytes);
  /// Starts over with nothing hashed.
  void reset();
  void update(std::span<const std::byte> bytes);
  /// The digest of everything since the last reset; call reset() or begin_object() before the next use.
  ObjectId finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// The oid of a whole object.
ObjectId hash_object(ObjectType type, std::span<const std::byte> content);

}  // namespace artifactfs
