// PackImporter: takes one fetched pack into a store's git repository (pack, .idx and .promisor, fsynced and renamed
// into objects/pack), and keeps the commits and trees that it saw for the index, all in one pass over the stream.
//
// The pack is visible to git only after finish(); destroyed before, nothing is left. Not thread-safe.
#pragma once

#include <filesystem>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"
#include "base/unique_fd.h"
#include "cache/tree_index.h"
#include "fetch/pack_index_writer.h"
#include "fetch/pack_reader.h"

namespace artifactfs {

class PackImporter final : public PackSink {
 public:
  using Objects = std::unordered_map<ObjectId, std::vector<std::byte>>;

  /// `git_directory`: the bare repository.
  static Result<std::unique_ptr<PackImporter>> begin(const std::filesystem::path& git_directory);
  ~PackImporter() override;

  /// The pack's raw bytes, as they stream (ProtocolClient::fetch's pack_bytes_sink).
  Result<void> append_pack(std::span<const std::byte> bytes);
  /// After the PackReader's finish(). A pack without objects leaves nothing.
  Result<void> finish(const ObjectId& pack_checksum);

  TreeIndex::RawTrees& trees() { return trees_; }
  const Objects& commits() const { return commits_; }
  bool has(const ObjectId& oid) const {
    return trees_.contains(oid) || commits_.contains(oid) || others_.contains(oid);
  }

  Result<void> begin_object(ObjectType type, uint64_t size_bytes) override;
  Result<void> content(std::span<const std::byte> chunk) override;
  Result<void> end_object(const ObjectId& oid, uint64_t pack_offset, uint32_t crc32) override;
  Result<size_t> read_base(const ObjectId& oid, ObjectType type, uint64_t offset, std::span<std::byte> into) override;

 private:
  PackImporter(std::filesystem::path pack_directory, std::filesystem::path temporary, UniqueFd fd)
      : pack_directory_(std::move(pack_directory)), temporary_(std::move(temporary)), fd_(std::move(fd)) {}

  std::filesystem::path pack_directory_;
  std::filesystem::path temporary_;
  UniqueFd fd_;
  std::vector<std::byte> buffer_;  // bytes not yet written
  ObjectType type_ = ObjectType::blob;
  std::vector<std::byte> current_;
  TreeIndex::RawTrees trees_;
  Objects commits_;
  Objects others_;  // tags, and the blobs that tags point at
  std::vector<PackIndexEntry> entries_;
};

/// A raw commit's tree and committer time. ErrorCode::corrupt names the commit.
Result<CommitRow> parse_commit(const ObjectId& oid, std::span<const std::byte> content);

}  // namespace artifactfs
