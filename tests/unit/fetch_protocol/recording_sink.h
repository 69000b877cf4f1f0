// RecordingSink: keeps what a PackReader delivers, and notes every breach of the PackSink contract, above all an object
// whose name is not its content's.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "fetch/pack_index_writer.h"
#include "fetch/pack_reader.h"

namespace artifactfs::testing {

class RecordingSink : public PackSink {
 public:
  struct Object {
    ObjectType type;
    std::string content;
  };

  Result<void> begin_pack(uint32_t object_count) override;
  Result<void> begin_object(ObjectType type, uint64_t size_bytes) override;
  Result<void> content(std::span<const std::byte> chunk) override;
  Result<void> end_object(const ObjectId& oid, uint64_t pack_offset, uint32_t crc32) override;
  Result<size_t> read_base(const ObjectId& oid, ObjectType type, uint64_t offset, std::span<std::byte> into) override;

  std::map<ObjectId, Object> objects;
  std::vector<PackIndexEntry> entries;  // in order of their ends
  uint32_t announced = 0;
  size_t base_reads = 0;
  std::vector<std::string> breaches;

 private:
  bool open_ = false;
  Object object_;
  uint64_t size_bytes_ = 0;
};

/// Feeds `pack` in slices of at most `slice` bytes (0: at once) and finishes.
Result<void> read_pack(std::string_view pack, PackSink& sink, const PackReaderLimits& limits = {}, size_t slice = 0);

}  // namespace artifactfs::testing
