// What the index's parts are written with (gitformat-index(5), gitformat-bitmap(5) for EWAH). Big-endian throughout.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/object_id.h"

namespace artifactfs {

struct IndexStat;

void put_u16(std::string& out, uint16_t value);
void put_u32(std::string& out, uint32_t value);
void put_u64(std::string& out, uint64_t value);
void put_oid(std::string& out, const ObjectId& oid);
/// git's variable width encoding (varint.c): base 128, most significant first, each continuation offset by one.
void put_varint(std::string& out, uint64_t value);
/// An EWAH bitmap; not compressed, for its readers do not ask for it and ours have few bits.
void put_bitmap(std::string& out, const std::vector<bool>& bits);
/// "struct stat_data" as the untracked cache stores it: 36 bytes.
void put_stat_data(std::string& out, const IndexStat& stat);
/// A size as the index keeps it: 32 bits, and never 0 for a file that is not empty (git's munge_st_size).
uint32_t index_size(uint64_t size_bytes);

}  // namespace artifactfs
