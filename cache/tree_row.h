// encode_tree_row: from a parsed raw tree to the row that Tree::from_row takes (format: tree.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "cache/tree.h"

namespace artifactfs {

/// What an entry of canonical `mode` (parse_raw_tree's) is.
EntryKind kind_of_mode(uint32_t mode);

/// `entries` as parse_raw_tree returns them. `below` has one number an entry: of a directory, the descendants of its
/// tree; of anything else, ignored. Fails (ErrorCode::out_of_range) when the ranks or the names outgrow the format,
/// naming `oid`. Pure.
Result<std::vector<std::byte>> encode_tree_row(const ObjectId& oid, std::span<const RawTreeEntry> entries,
                                               std::span<const uint64_t> below);

/// The `descendants` field of an encoded row; 0 when it is shorter than a header.
uint64_t descendants_of_row(std::span<const std::byte> row);

/// How git orders two entries of a tree: bytewise, a directory's name as if it ended in '/' (base_name_compare in git's
/// read-cache.c). Submodules compare as files. Negative, 0 or positive.
int compare_tree_names(std::string_view a, bool a_is_directory, std::string_view b, bool b_is_directory);

}  // namespace artifactfs
