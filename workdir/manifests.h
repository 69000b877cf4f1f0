// The order in which a tree's contents are fetched while nobody waits: manifests and lock files of the whole tree (what
// tools open first), then everything in the order of the tree.
#pragma once

#include <string_view>

#include "cache/blob_store.h"
#include "cache/tree_index.h"
#include "fetch/object_fetcher.h"

namespace artifactfs {

/// Whether a file of this name tells a build tool or a package manager what to do.
bool is_manifest(std::string_view name);

/// Yields the oids of all contents of `tree` that `blobs` lacks. Both references must outlive the result.
ObjectFetcher::NextBatch manifests_first(TreeIndex& index, BlobStore& blobs, const ObjectId& tree);

}  // namespace artifactfs
