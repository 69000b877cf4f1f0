// The version 2 index of a pack (.idx, gitformat-pack(5) "pack-*.idx files"), made from what a PackReader reported, so
// that git can use the pack without reading it again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"

namespace artifactfs {

struct PackIndexEntry {
  ObjectId oid;
  uint64_t pack_offset = 0;  // of the entry's first byte
  uint32_t crc32 = 0;        // of the entry's bytes in the pack
};

/// The whole file, byte for byte what `git index-pack` writes. `entries` in any order, at most 2^32 - 1;
/// `pack_checksum` is the pack's trailer.
std::string pack_index_bytes(std::vector<PackIndexEntry> entries, const ObjectId& pack_checksum);

/// Writes the index to `path`, atomically and durably, read-only as git does.
Result<void> write_pack_index(const std::filesystem::path& path, std::vector<PackIndexEntry> entries,
                              const ObjectId& pack_checksum);

}  // namespace artifactfs
