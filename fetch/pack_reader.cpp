#include "fetch/pack_reader.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <utility>
#include <variant>

#include "base/sha1.h"
#include "fetch/base_cache.h"
#include "fetch/delta.h"
#include "fetch/delta_base.h"
#include "fetch/inflater.h"
#include "fetch/object_output.h"
#include "fetch/pending_deltas.h"

namespace artifactfs {

namespace {

constexpr size_t kPackHeaderBytes = 12;
constexpr size_t kScratchBytes = size_t{64} << 10;
constexpr unsigned kOffsetDelta = 6;  // entry types beside ObjectType's
constexpr unsigned kReferenceDelta = 7;

uint32_t big_endian_32(const std::byte* bytes) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | std::to_integer<uint32_t>(bytes[i]);
  return value;
}

}  // namespace

// pack_header -> (type_and_size -> [base_distance | base_oid] -> data)* -> trailer -> done
//
// While an entry's data come in they go one of three ways: straight to the output (whole objects), through the delta
// parser to the output (a delta whose base has ended), or into memory (a delta whose base is still to come). The base
// of the last kind looks for those that wait when it ends.
class PackReader::Parser : private DeltaInstructions {
 public:
  Parser(PackSink& sink, const PackReaderLimits& limits)
      : sink_(sink),
        limits_(limits),
        output_(sink, limits.max_cached_base_bytes),
        base_cache_(limits.base_cache_bytes),
        pending_(limits.max_pending_deltas_bytes) {}

  Result<void> feed(std::span<const std::byte> bytes) {
    if (error_) return fail(*error_);
    input_ = unhashed_ = unchecked_ = bytes;
    Result<void> parsed = parse();
    settle_hash();
    settle_crc();
    if (!parsed) error_ = parsed.error();
    return parsed;
  }

  Result<void> finish() {
    if (error_) return fail(*error_);
    Result<void> complete = check_complete();
    if (!complete) error_ = complete.error();
    return complete;
  }

  uint64_t objects_done() const { return objects_done_; }
  uint64_t bytes_fed() const { return offset_; }
  ObjectId checksum() const { return state_ == State::done ? ObjectId::from_raw(gathered()) : ObjectId{}; }

 private:
  enum class State : uint8_t { pack_header, type_and_size, base_distance, base_oid, data, trailer, done };
  enum class Way : uint8_t { output, delta, pending };

  struct Entry {
    uint64_t offset;
    uint64_t size_bytes = 0;
    ObjectId oid;
    uint32_t delta_depth = 0;
    ObjectType type = ObjectType::blob;
    bool ended = false;  // else it waits for its base, and only the offset is known
  };

  // Input.
  Result<void> parse();
  Result<void> step();
  void consume(size_t bytes);
  bool gather(size_t bytes);
  std::span<const std::byte> gathered() const { return std::span(gathered_).first(ObjectId::kBytes); }
  void settle_hash();
  void settle_crc();
  std::unexpected<Error> bad_pack(std::string cause) const;
  std::unexpected<Error> bad_entry(std::string cause, ErrorCode code = ErrorCode::corrupt) const;

  // Headers.
  Result<void> read_pack_header();
  Result<void> read_type_and_size();
  Result<void> header_done();
  Result<void> read_base_distance();
  Result<void> read_base_oid();
  Result<void> read_trailer();
  void next_entry();

  // Data.
  Result<void> begin_delta_on(uint32_t base);
  Result<void> begin_pending();
  std::span<std::byte> inflate_room();
  Result<void> inflate_some();
  Result<void> take_inflated(std::span<const std::byte> bytes);
  Result<void> end_entry();

  // Objects.
  std::optional<uint32_t> find_entry(const ObjectId& oid);
  Result<void> open_base(uint32_t base, uint32_t for_entry);
  Result<void> end_object(uint32_t entry, uint32_t crc32);
  Result<void> end_objects_from(uint32_t entry, uint32_t crc32);
  Result<void> apply_pending(uint32_t base, const PendingDelta& pending);
  Result<void> check_complete();

  // DeltaInstructions, of the delta being applied.
  Result<void> result_size(uint64_t result_bytes) override;
  Result<void> copy(uint64_t base_offset, uint64_t size_bytes) override {
    return base_.copy_to(output_, base_offset, size_bytes);
  }
  Result<void> insert(std::span<const std::byte> bytes) override { return output_.write(bytes); }

  PackSink& sink_;
  const PackReaderLimits limits_;
  std::optional<Error> error_;

  // The slice being fed: what is left of it, and what of it is not yet in the pack's hash or the entry's crc32.
  std::span<const std::byte> input_;
  std::span<const std::byte> unhashed_;
  std::span<const std::byte> unchecked_;
  uint64_t offset_ = 0;  // of input_ in the pack
  Sha1 pack_sha1_;

  State state_ = State::pack_header;
  std::array<std::byte, ObjectId::kBytes> gathered_{};  // a fixed-size field, in case it is cut
  size_t gathered_size_ = 0;
  uint32_t entries_left_ = 0;
  uint32_t object_count_ = 0;
  uint64_t objects_done_ = 0;

  // The entry being read.
  unsigned entry_type_ = 0;
  uint64_t varint_ = 0;
  unsigned shift_ = 0;  // also: how many bytes of the varint have come, in steps of its bits
  uint64_t inflated_left_ = 0;
  uint32_t entry_crc_ = 0;
  Way way_ = Way::output;
  std::optional<ObjectBytes> pending_bytes_;
  std::variant<ObjectId, uint32_t> pending_base_;
  Inflater inflater_;
  std::vector<std::byte> scratch_ = std::vector<std::byte>(kScratchBytes);

  // The object being made.
  ObjectOutput output_;
  DeltaParser delta_;
  DeltaBase base_;
  ObjectType base_type_ = ObjectType::blob;

  std::vector<Entry> entries_;  // ascending offsets
  // Filled when the first reference delta comes; servers that use offset deltas never make us pay for it.
  std::optional<std::unordered_map<ObjectId, uint32_t>> by_oid_;
  BaseCache base_cache_;
  PendingDeltas pending_;
};

std::unexpected<Error> PackReader::Parser::bad_pack(std::string cause) const {
  return fail(ErrorCode::corrupt, "cannot read the pack", std::move(cause));
}

std::unexpected<Error> PackReader::Parser::bad_entry(std::string cause, ErrorCode code) const {
  return fail(code, fmt::format("cannot read the pack's entry at offset {}", entries_.back().offset), std::move(cause));
}

// ---- input

void PackReader::Parser::consume(size_t bytes) {
  input_ = input_.subspan(bytes);
  offset_ += bytes;
}

bool PackReader::Parser::gather(size_t bytes) {
  const size_t n = std::min(bytes - gathered_size_, input_.size());
  std::memcpy(gathered_.data() + gathered_size_, input_.data(), n);
  gathered_size_ += n;
  consume(n);
  if (gathered_size_ < bytes) return false;
  gathered_size_ = 0;
  return true;
}

void PackReader::Parser::settle_hash() {
  if (state_ != State::trailer && state_ != State::done)
    pack_sha1_.update(unhashed_.first(unhashed_.size() - input_.size()));
  unhashed_ = input_;
}

void PackReader::Parser::settle_crc() {
  const auto bytes = unchecked_.first(unchecked_.size() - input_.size());
  if (!bytes.empty()) {
    entry_crc_ =
        static_cast<uint32_t>(::crc32_z(entry_crc_, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
  }
  unchecked_ = input_;
}

Result<void> PackReader::Parser::parse() {
  while (!input_.empty()) TRY(step());
  return {};
}

Result<void> PackReader::Parser::step() {
  switch (state_) {
    case State::pack_header:
      return read_pack_header();
    case State::type_and_size:
      return read_type_and_size();
    case State::base_distance:
      return read_base_distance();
    case State::base_oid:
      return read_base_oid();
    case State::data:
      return inflate_some();
    case State::trailer:
      return read_trailer();
    case State::done:
      return bad_pack("there are bytes after its checksum");
  }
  return {};
}

// ---- headers

Result<void> PackReader::Parser::read_pack_header() {
  if (!gather(kPackHeaderBytes)) return {};
  if (std::memcmp(gathered_.data(), "PACK", 4) != 0) return bad_pack("it does not begin with 'PACK'");
  const uint32_t version = big_endian_32(gathered_.data() + 4);
  if (version != 2 && version != 3) return bad_pack(fmt::format("its version is {}", version));
  object_count_ = entries_left_ = big_endian_32(gathered_.data() + 8);
  TRY(sink_.begin_pack(object_count_));
  next_entry();
  return {};
}

void PackReader::Parser::next_entry() {
  if (entries_left_ == 0) {
    settle_hash();
    state_ = State::trailer;
    return;
  }
  settle_crc();  // of bytes between entries: there are none but the pack's header
  entry_crc_ = 0;
  varint_ = 0;
  shift_ = 0;
  state_ = State::type_and_size;
}

Result<void> PackReader::Parser::read_type_and_size() {
  const auto byte = std::to_integer<uint64_t>(input_.front());
  if (shift_ == 0) {
    entries_.push_back(Entry{.offset = offset_, .oid = {}});
    --entries_left_;
    entry_type_ = (byte >> 4) & 7;
    varint_ = byte & 15;
    shift_ = 4;
  } else {
    const uint64_t bits = byte & 0x7f;
    if (shift_ > 63 || (bits << shift_) >> shift_ != bits) return bad_entry("its size overflows");
    varint_ |= bits << shift_;
    shift_ += 7;
  }
  consume(1);
  return (byte & 0x80) != 0 ? Result<void>() : header_done();
}

Result<void> PackReader::Parser::header_done() {
  inflated_left_ = varint_;
  if (inflated_left_ > limits_.max_object_bytes)
    return bad_entry(
        fmt::format("its {} bytes are more than the limit of {}", inflated_left_, limits_.max_object_bytes),
        ErrorCode::out_of_range);
  varint_ = 0;
  shift_ = 0;
  inflater_.reset();
  if (entry_type_ == kOffsetDelta) {
    state_ = State::base_distance;
    return {};
  }
  if (entry_type_ == kReferenceDelta) {
    state_ = State::base_oid;
    return {};
  }
  if (entry_type_ < 1 || entry_type_ > 4) return bad_entry(fmt::format("its type is {}", entry_type_));
  way_ = Way::output;
  state_ = State::data;
  entries_.back().delta_depth = 0;
  return output_.begin(static_cast<ObjectType>(entry_type_), inflated_left_);
}

Result<void> PackReader::Parser::read_base_distance() {
  const auto byte = std::to_integer<uint64_t>(input_.front());
  if (shift_ > 0) {
    if (varint_ >= (uint64_t{1} << 56)) return bad_entry("the distance to its base overflows");
    ++varint_;
  }
  varint_ = varint_ << 7 | (byte & 0x7f);
  shift_ += 7;
  consume(1);
  if ((byte & 0x80) != 0) return {};
  const uint64_t here = entries_.back().offset;
  if (varint_ == 0 || varint_ > here) return bad_entry("its base lies outside of the pack");
  const uint64_t base_offset = here - varint_;
  const auto base = std::lower_bound(entries_.begin(), entries_.end() - 1, base_offset,
                                     [](const Entry& entry, uint64_t offset) { return entry.offset < offset; });
  if (base->offset != base_offset)
    return bad_entry(fmt::format("no object begins at its base's offset {}", base_offset));
  const auto number = static_cast<uint32_t>(base - entries_.begin());
  if (base->ended) return begin_delta_on(number);
  pending_base_ = number;
  return begin_pending();
}

Result<void> PackReader::Parser::read_base_oid() {
  if (!gather(ObjectId::kBytes)) return {};
  const ObjectId oid = ObjectId::from_raw(gathered());
  if (const auto base = find_entry(oid)) return begin_delta_on(*base);
  pending_base_ = oid;
  return begin_pending();
}

Result<void> PackReader::Parser::read_trailer() {
  if (!gather(ObjectId::kBytes)) return {};
  if (ObjectId::from_raw(gathered()) != pack_sha1_.finish()) return bad_pack("its checksum does not fit");
  state_ = State::done;
  return {};
}

// ---- data

Result<void> PackReader::Parser::begin_delta_on(uint32_t base) {
  way_ = Way::delta;
  state_ = State::data;
  return open_base(base, static_cast<uint32_t>(entries_.size() - 1));
}

Result<void> PackReader::Parser::begin_pending() {
  if (!pending_.reserve(inflated_left_))
    return bad_entry("too many deltas wait for bases that come later", ErrorCode::out_of_range);
  pending_bytes_.emplace(static_cast<size_t>(inflated_left_));
  way_ = Way::pending;
  state_ = State::data;
  return {};
}

std::span<std::byte> PackReader::Parser::inflate_room() {
  switch (way_) {
    case Way::output:
      return output_.space();
    case Way::delta:
      return std::span(scratch_).first(static_cast<size_t>(std::min<uint64_t>(scratch_.size(), inflated_left_)));
    case Way::pending:
      return std::span(pending_bytes_->data.get(), pending_bytes_->size).last(static_cast<size_t>(inflated_left_));
  }
  return {};
}

Result<void> PackReader::Parser::inflate_some() {
  std::byte excess;
  std::span<std::byte> room = inflate_room();
  // All that was promised is there: the stream must now end, and a byte more is found out by giving it room.
  if (inflated_left_ == 0) room = {&excess, 1};
  const auto step = inflater_.inflate(input_, room);
  if (!step) return bad_entry(step.error().text());
  consume(step->consumed);
  if (step->produced > inflated_left_) return bad_entry("it inflates to more than its header says");
  inflated_left_ -= step->produced;
  if (step->produced > 0) TRY(take_inflated(room.first(step->produced)));
  if (step->ended) {
    if (inflated_left_ > 0) return bad_entry("it inflates to less than its header says");
    return end_entry();
  }
  if (step->consumed == 0 && step->produced == 0) return bad_entry("it cannot be inflated");
  return {};
}

Result<void> PackReader::Parser::take_inflated(std::span<const std::byte> bytes) {
  switch (way_) {
    case Way::output:
      return output_.advance(bytes.size());
    case Way::delta:
      return delta_.feed(bytes, *this);
    case Way::pending:
      return {};  // is where it belongs
  }
  return {};
}

Result<void> PackReader::Parser::end_entry() {
  settle_crc();
  const auto entry = static_cast<uint32_t>(entries_.size() - 1);
  if (way_ == Way::pending) {
    PendingDelta waiting{entry, entry_crc_, std::move(*pending_bytes_)};
    pending_bytes_.reset();
    std::visit([&](const auto& base) { pending_.add(base, std::move(waiting)); }, pending_base_);
  } else {
    if (way_ == Way::delta) TRY(delta_.finish());
    TRY(end_objects_from(entry, entry_crc_));
  }
  next_entry();
  return {};
}

// ---- objects

std::optional<uint32_t> PackReader::Parser::find_entry(const ObjectId& oid) {
  if (!by_oid_) {
    by_oid_.emplace();
    for (uint32_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].ended) by_oid_->emplace(entries_[i].oid, i);
    }
  }
  const auto found = by_oid_->find(oid);
  if (found == by_oid_->end()) return std::nullopt;
  return found->second;
}

/// Makes ready for applying a delta (`for_entry`) to `base`, which has ended.
Result<void> PackReader::Parser::open_base(uint32_t base, uint32_t for_entry) {
  const Entry& entry = entries_[base];
  Entry& derived = entries_[for_entry];
  derived.delta_depth = entry.delta_depth + 1;
  if (derived.delta_depth > limits_.max_delta_depth)
    return fail(ErrorCode::out_of_range, fmt::format("cannot read the pack's entry at offset {}", derived.offset),
                fmt::format("its chain of deltas is longer than {}", limits_.max_delta_depth));
  base_type_ = entry.type;
  delta_.begin(entry.size_bytes, derived.offset);
  if (entry.size_bytes > limits_.max_cached_base_bytes) {
    base_ = DeltaBase(sink_, entry.oid, entry.type, entry.size_bytes);
    return {};
  }
  auto whole = base_cache_.find(base);
  if (!whole) {
    auto read_back = std::make_shared<ObjectBytes>(static_cast<size_t>(entry.size_bytes));
    TRY(read_base_exactly(sink_, entry.oid, entry.type, 0, {read_back->data.get(), read_back->size}));
    whole = std::move(read_back);
    base_cache_.insert(base, whole);
  }
  base_ = DeltaBase(std::move(whole));
  return {};
}

Result<void> PackReader::Parser::result_size(uint64_t result_bytes) {
  if (result_bytes > limits_.max_object_bytes)
    return fail(
        ErrorCode::out_of_range, "cannot apply a delta of the pack",
        fmt::format("its result of {} bytes is more than the limit of {}", result_bytes, limits_.max_object_bytes));
  return output_.begin(base_type_, result_bytes);
}

/// The output holds all of `entry`.
Result<void> PackReader::Parser::end_object(uint32_t number, uint32_t crc32) {
  Entry& entry = entries_[number];
  TRY_ASSIGN(entry.oid, output_.end());
  entry.type = output_.type();
  entry.size_bytes = output_.size_bytes();
  entry.ended = true;
  base_ = DeltaBase();
  if (auto whole = output_.take_whole()) base_cache_.insert(number, std::move(whole));
  if (by_oid_) by_oid_->emplace(entry.oid, number);
  ++objects_done_;
  return sink_.end_object(entry.oid, entry.offset, crc32);
}

/// Ends `entry` and then all that waited for it, and for those, without recursion: chains may be long.
Result<void> PackReader::Parser::end_objects_from(uint32_t entry, uint32_t crc32) {
  TRY(end_object(entry, crc32));
  if (pending_.empty()) return {};
  std::vector<uint32_t> bases{entry};
  while (!bases.empty()) {
    const uint32_t base = bases.back();
    const auto pending = pending_.take(entries_[base].oid, base);
    if (!pending) {
      bases.pop_back();
      continue;
    }
    TRY(apply_pending(base, *pending));
    bases.push_back(pending->entry);
  }
  return {};
}

Result<void> PackReader::Parser::apply_pending(uint32_t base, const PendingDelta& pending) {
  TRY(open_base(base, pending.entry));
  TRY(delta_.feed(pending.delta.view(), *this));
  TRY(delta_.finish());
  return end_object(pending.entry, pending.crc32);
}

Result<void> PackReader::Parser::check_complete() {
  if (state_ != State::done)
    return bad_pack(
        fmt::format("it ends after {} bytes and {} objects of {}", offset_, objects_done_,
                    state_ == State::pack_header ? std::string("unknown many") : std::to_string(object_count_)));
  if (const auto missing = pending_.some_missing_base()) return bad_pack("base " + missing->hex() + " is missing");
  return {};
}

// ---- PackReader

PackReader::PackReader(PackSink& sink, const PackReaderLimits& limits)
    : parser_(std::make_unique<Parser>(sink, limits)) {}
PackReader::~PackReader() = default;
PackReader::PackReader(PackReader&&) noexcept = default;

Result<void> PackReader::feed(std::span<const std::byte> bytes) { return parser_->feed(bytes); }
Result<void> PackReader::finish() { return parser_->finish(); }
uint64_t PackReader::objects_done() const { return parser_->objects_done(); }
uint64_t PackReader::bytes_fed() const { return parser_->bytes_fed(); }
ObjectId PackReader::pack_checksum() const { return parser_->checksum(); }

}  // namespace artifactfs
