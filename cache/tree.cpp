#include "cache/tree.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "cache/little_endian.h"
#include "cache/tree_row.h"

namespace artifactfs {

namespace {

// Offsets of the row format (tree.h).
constexpr uint32_t kMagic = 0x31525441;  // "ATR1"
constexpr size_t kCountAt = 4;
constexpr size_t kDescendantsAt = 8;
constexpr size_t kDirectoriesAt = 16;
constexpr size_t kHeaderBytes = 24;

constexpr size_t kNameOffsetAt = 8;
constexpr size_t kNameLengthAt = 12;
constexpr size_t kKindAt = 14;
constexpr size_t kOidAt = 15;
constexpr size_t kEntryBytes = kOidAt + ObjectId::kBytes;

// Inode numbers are sums of ranks and must stay below the overlay's (2^40), so no tree may come near.
constexpr uint64_t kMaxDescendants = uint64_t{1} << 39;

struct Fields {
  uint64_t rank;
  uint32_t name_offset;
  uint16_t name_length;
  uint8_t kind;
};

Fields load_fields(const std::byte* entry) {
  return {load_le<uint64_t>(entry), load_le<uint32_t>(entry + kNameOffsetAt), load_le<uint16_t>(entry + kNameLengthAt),
          static_cast<uint8_t>(entry[kKindAt])};
}

std::unexpected<Error> malformed(const char* cause) {
  return fail(ErrorCode::corrupt, "cannot decode a tree row", cause);
}

// Checks everything that the accessors rely on; returns the number of entries.
Result<uint32_t> check_row(std::span<const std::byte> row) {
  if (row.size() < kHeaderBytes || load_le<uint32_t>(row.data()) != kMagic) return malformed("it has no header");
  const auto count = load_le<uint32_t>(row.data() + kCountAt);
  if (count > (row.size() - kHeaderBytes) / kEntryBytes) return malformed("it is shorter than its entry count says");
  const std::byte* entries = row.data() + kHeaderBytes;
  const std::byte* names = entries + size_t{count} * kEntryBytes;
  const size_t name_bytes = row.size() - kHeaderBytes - size_t{count} * kEntryBytes;
  const std::string_view all_names(reinterpret_cast<const char*>(names), name_bytes);
  if (all_names.find('\0') != std::string_view::npos || all_names.find('/') != std::string_view::npos) {
    return malformed("a name has a NUL or a slash");
  }
  const auto descendants = load_le<uint64_t>(row.data() + kDescendantsAt);
  if (descendants > kMaxDescendants) return malformed("its size is absurd");
  uint64_t lowest_rank = 1, highest_rank = 1, directories = 0, name_end = 0;
  std::string_view previous;
  bool previous_is_directory = false;
  for (uint32_t i = 0; i < count; ++i) {
    const Fields fields = load_fields(entries + i * kEntryBytes);
    if (fields.kind > static_cast<uint8_t>(EntryKind::submodule)) return malformed("an entry has an unknown kind");
    if (fields.rank < lowest_rank || fields.rank > highest_rank) return malformed("its ranks do not add up");
    if (fields.name_length == 0 || fields.name_offset != name_end || fields.name_length > name_bytes - name_end) {
      return malformed("its names are out of place");
    }
    name_end += fields.name_length;
    const std::string_view name = all_names.substr(fields.name_offset, fields.name_length);
    const auto kind = static_cast<EntryKind>(fields.kind);
    const bool is_directory = kind == EntryKind::directory;
    if (i != 0 && compare_tree_names(previous, previous_is_directory, name, is_directory) >= 0) {
      return malformed("its entries are out of order");
    }
    if (is_directory || kind == EntryKind::submodule) ++directories;
    lowest_rank = fields.rank + 1;
    highest_rank = is_directory ? kMaxDescendants : lowest_rank;
    previous = name;
    previous_is_directory = is_directory;
  }
  if (name_end != name_bytes) return malformed("it has bytes after its end");
  if (descendants + 1 < lowest_rank || descendants + 1 > highest_rank) return malformed("its ranks do not add up");
  if (load_le<uint64_t>(row.data() + kDirectoriesAt) != directories) return malformed("its directories do not add up");
  return count;
}

}  // namespace

int compare_tree_names(std::string_view a, bool a_is_directory, std::string_view b, bool b_is_directory) {
  const size_t common = std::min(a.size(), b.size());
  if (common != 0) {
    if (const int order = std::memcmp(a.data(), b.data(), common); order != 0) return order;
  }
  const auto next = [common](std::string_view name, bool is_directory) -> unsigned char {
    if (name.size() > common) return static_cast<unsigned char>(name[common]);
    return is_directory ? '/' : '\0';
  };
  const int next_a = next(a, a_is_directory);
  const int next_b = next(b, b_is_directory);
  return next_a - next_b;
}

Result<std::shared_ptr<const Tree>> Tree::from_row(std::vector<std::byte> row) {
  TRY_ASSIGN(const uint32_t count, check_row(row));
  auto tree = std::shared_ptr<Tree>(new Tree);
  tree->row_ = std::move(row);
  tree->count_ = count;
  tree->descendants_ = load_le<uint64_t>(tree->row_.data() + kDescendantsAt);
  tree->directories_ = load_le<uint64_t>(tree->row_.data() + kDirectoriesAt);
  return tree;
}

TreeEntry Tree::entry(size_t index) const {
  const std::byte* at = row_.data() + kHeaderBytes + index * kEntryBytes;
  const Fields fields = load_fields(at);
  const std::byte* names = row_.data() + kHeaderBytes + size_t{count_} * kEntryBytes;
  return TreeEntry{
      .name = {reinterpret_cast<const char*>(names + fields.name_offset), fields.name_length},
      .kind = static_cast<EntryKind>(fields.kind),
      .oid = ObjectId::from_raw({at + kOidAt, ObjectId::kBytes}),
      .rank = fields.rank,
  };
}

std::optional<size_t> Tree::find(std::string_view name) const {
  if (name.find('/') != std::string_view::npos) return std::nullopt;  // would compare equal to a directory
  const std::byte* entries = row_.data() + kHeaderBytes;
  const auto* names = reinterpret_cast<const char*>(entries + size_t{count_} * kEntryBytes);
  // A name's place depends on its kind, which the caller does not know: "a" stands before "a.c" as a file and behind it
  // as a directory.
  for (const bool as_directory : {false, true}) {
    size_t low = 0, high = count_;
    while (low < high) {
      const size_t middle = low + (high - low) / 2;
      const Fields fields = load_fields(entries + middle * kEntryBytes);
      const bool is_directory = fields.kind == static_cast<uint8_t>(EntryKind::directory);
      const int order =
          compare_tree_names({names + fields.name_offset, fields.name_length}, is_directory, name, as_directory);
      if (order == 0) return middle;
      if (order < 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
  }
  return std::nullopt;
}

std::optional<size_t> Tree::find_rank(uint64_t rank) const {
  if (rank == 0 || rank > descendants_) return std::nullopt;
  const std::byte* entries = row_.data() + kHeaderBytes;
  size_t low = 0, high = count_;  // the first entry whose rank is greater
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (load_le<uint64_t>(entries + middle * kEntryBytes) <= rank) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low - 1;  // the first entry has rank 1
}

EntryKind kind_of_mode(uint32_t mode) {
  switch (mode) {
    case 0040000:
      return EntryKind::directory;
    case 0120000:
      return EntryKind::symlink;
    case 0160000:
      return EntryKind::submodule;
    case 0100755:
      return EntryKind::executable;
    default:
      return EntryKind::file;
  }
}

Result<std::vector<std::byte>> encode_tree_row(const ObjectId& oid, std::span<const RawTreeEntry> entries,
                                               std::span<const uint64_t> below) {
  size_t name_bytes = 0;
  for (const RawTreeEntry& entry : entries) name_bytes += entry.name.size();
  const auto too_large = [&] {
    return fail(ErrorCode::out_of_range, "cannot index tree '" + oid.hex() + "'", "it has too many entries");
  };
  constexpr size_t kMax32 = std::numeric_limits<uint32_t>::max();
  if (entries.size() > kMax32 || name_bytes > kMax32) return too_large();
  std::vector<std::byte> row(kHeaderBytes + entries.size() * kEntryBytes + name_bytes);
  std::byte* at = row.data() + kHeaderBytes;
  std::byte* names = at + entries.size() * kEntryBytes;
  uint64_t rank = 1, directories = 0;
  uint32_t name_offset = 0;
  for (size_t i = 0; i < entries.size(); ++i, at += kEntryBytes) {
    const RawTreeEntry& entry = entries[i];
    const EntryKind kind = kind_of_mode(entry.mode);
    store_le(at, rank);
    store_le(at + kNameOffsetAt, name_offset);
    store_le(at + kNameLengthAt, static_cast<uint16_t>(entry.name.size()));
    at[kKindAt] = static_cast<std::byte>(kind);
    std::memcpy(at + kOidAt, entry.oid.bytes.data(), ObjectId::kBytes);
    std::memcpy(names + name_offset, entry.name.data(), entry.name.size());
    name_offset += static_cast<uint32_t>(entry.name.size());
    if (kind == EntryKind::directory || kind == EntryKind::submodule) ++directories;
    rank += 1 + (kind == EntryKind::directory ? below[i] : 0);
    // Shared subtrees nested in each other multiply ("git bomb"): 2^39 entries need only some forty trees.
    if (rank - 1 > kMaxDescendants) return too_large();
  }
  store_le(row.data(), kMagic);
  store_le(row.data() + kCountAt, static_cast<uint32_t>(entries.size()));
  store_le(row.data() + kDescendantsAt, rank - 1);
  store_le(row.data() + kDirectoriesAt, directories);
  return row;
}

uint64_t descendants_of_row(std::span<const std::byte> row) {
  return row.size() < kHeaderBytes ? 0 : load_le<uint64_t>(row.data() + kDescendantsAt);
}

}  // namespace artifactfs
