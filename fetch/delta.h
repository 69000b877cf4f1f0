// DeltaParser: reads a delta (gitformat-pack(5), "Deltified representation") as a stream and checks all its
// arithmetic; what to do with each instruction is the handler's business. Pure, constant memory, not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"

namespace artifactfs {

/// What a delta does. An error ends the parse with that error.
class DeltaInstructions {
 public:
  virtual ~DeltaInstructions() = default;
  /// Both sizes have been read; `base_bytes` is what begin() was told.
  virtual Result<void> result_size(uint64_t result_bytes) = 0;
  /// Within the base.
  virtual Result<void> copy(uint64_t base_offset, uint64_t size_bytes) = 0;
  virtual Result<void> insert(std::span<const std::byte> bytes) = 0;
};

class DeltaParser {
 public:
  /// Starts a new delta against a base of `base_bytes`; `pack_offset` is for error sentences.
  void begin(uint64_t base_bytes, uint64_t pack_offset);
  /// The next bytes of the delta, cut anywhere. Errors: ErrorCode::corrupt.
  Result<void> feed(std::span<const std::byte> bytes, DeltaInstructions& handler);
  /// The delta has ended: fails unless exactly the promised result was produced.
  Result<void> finish() const;

 private:
  enum class State : uint8_t { base_size, result_size, instructions };
  static constexpr size_t kMaxInstructionBytes = 8;  // a copy: opcode, 4 offset and 3 size bytes

  std::unexpected<Error> bad_delta(std::string cause) const;
  Result<void> size_byte(std::byte byte, DeltaInstructions& handler);
  /// Runs the copy that stands in `code`, which is complete.
  Result<void> run_copy(const std::byte* code, DeltaInstructions& handler);
  Result<void> begin_insert(size_t size);

  State state_ = State::base_size;
  uint64_t pack_offset_ = 0;
  uint64_t base_bytes_ = 0;
  uint64_t result_bytes_ = 0;
  uint64_t produced_bytes_ = 0;
  uint64_t varint_ = 0;
  unsigned shift_ = 0;
  size_t insert_left_ = 0;
  std::array<std::byte, kMaxInstructionBytes> partial_{};  // an instruction cut by the end of a slice
  size_t partial_size_ = 0;
};

}  // namespace artifactfs
