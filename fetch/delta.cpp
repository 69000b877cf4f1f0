#include "fetch/delta.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace artifactfs {

namespace {

constexpr unsigned kCopyBit = 0x80;

/// How many bytes the instruction with this opcode has, inserted bytes not counted.
size_t instruction_bytes(std::byte opcode) {
  const auto code = std::to_integer<unsigned>(opcode);
  return (code & kCopyBit) != 0 ? 1 + static_cast<size_t>(std::popcount(code & 0x7fU)) : 1;
}

}  // namespace

std::unexpected<Error> DeltaParser::bad_delta(std::string cause) const {
  return fail(ErrorCode::corrupt, fmt::format("cannot apply the delta at pack offset {}", pack_offset_),
              std::move(cause));
}

void DeltaParser::begin(uint64_t base_bytes, uint64_t pack_offset) {
  *this = DeltaParser{};
  pack_offset_ = pack_offset;
  base_bytes_ = base_bytes;
}

Result<void> DeltaParser::size_byte(std::byte byte, DeltaInstructions& handler) {
  const uint64_t bits = std::to_integer<uint64_t>(byte) & 0x7f;
  if (shift_ > 63 || (bits << shift_) >> shift_ != bits) return bad_delta("a size overflows");
  varint_ |= bits << shift_;
  shift_ += 7;
  if ((std::to_integer<unsigned>(byte) & 0x80) != 0) return {};
  const uint64_t size = std::exchange(varint_, 0);
  shift_ = 0;
  if (state_ == State::base_size) {
    if (size != base_bytes_)
      return bad_delta(fmt::format("it is made for a base of {} bytes, the base has {}", size, base_bytes_));
    state_ = State::result_size;
    return {};
  }
  result_bytes_ = size;
  state_ = State::instructions;
  return handler.result_size(size);
}

Result<void> DeltaParser::run_copy(const std::byte* code, DeltaInstructions& handler) {
  const auto opcode = std::to_integer<unsigned>(*code++);
  uint64_t offset = 0;
  uint64_t size = 0;
  for (unsigned i = 0; i < 4; ++i) {
    if ((opcode & (1U << i)) != 0) offset |= std::to_integer<uint64_t>(*code++) << (8 * i);
  }
  for (unsigned i = 0; i < 3; ++i) {
    if ((opcode & (0x10U << i)) != 0) size |= std::to_integer<uint64_t>(*code++) << (8 * i);
  }
  if (size == 0) size = 0x10000;
  if (offset > base_bytes_ || size > base_bytes_ - offset) return bad_delta("it copies from beyond its base");
  if (size > result_bytes_ - produced_bytes_) return bad_delta("it produces more than it promised");
  produced_bytes_ += size;
  return handler.copy(offset, size);
}

Result<void> DeltaParser::begin_insert(size_t size) {
  if (size == 0) return bad_delta("it has the reserved instruction 0");
  if (size > result_bytes_ - produced_bytes_) return bad_delta("it produces more than it promised");
  produced_bytes_ += size;
  insert_left_ = size;
  return {};
}

Result<void> DeltaParser::feed(std::span<const std::byte> bytes, DeltaInstructions& handler) {
  while (!bytes.empty()) {
    if (state_ != State::instructions) {
      TRY(size_byte(bytes.front(), handler));
      bytes = bytes.subspan(1);
      continue;
    }
    if (insert_left_ > 0) {
      const size_t n = std::min(insert_left_, bytes.size());
      TRY(handler.insert(bytes.first(n)));
      insert_left_ -= n;
      bytes = bytes.subspan(n);
      continue;
    }
    const std::byte opcode = partial_size_ > 0 ? partial_[0] : bytes.front();
    const size_t length = instruction_bytes(opcode);
    if (partial_size_ == 0 && bytes.size() >= length) {
      if ((std::to_integer<unsigned>(opcode) & kCopyBit) != 0) {
        TRY(run_copy(bytes.data(), handler));
      } else {
        TRY(begin_insert(std::to_integer<size_t>(opcode)));
      }
      bytes = bytes.subspan(length);
      continue;
    }
    const size_t n = std::min(length - partial_size_, bytes.size());
    std::memcpy(partial_.data() + partial_size_, bytes.data(), n);
    partial_size_ += n;
    bytes = bytes.subspan(n);
    if (partial_size_ == length) {
      partial_size_ = 0;
      TRY(run_copy(partial_.data(), handler));  // only copies can be cut: an insert's opcode is one byte
    }
  }
  return {};
}

Result<void> DeltaParser::finish() const {
  if (state_ != State::instructions || insert_left_ > 0 || partial_size_ > 0) return bad_delta("it ends early");
  if (produced_bytes_ != result_bytes_)
    return bad_delta(fmt::format("it produces {} of {} bytes", produced_bytes_, result_bytes_));
  return {};
}

}  // namespace artifactfs
