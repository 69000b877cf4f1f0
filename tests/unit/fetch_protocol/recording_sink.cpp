#include "recording_sink.h"

#include <algorithm>
#include <cstring>

#include "base/sha1.h"
#include "pack_builder.h"

namespace artifactfs::testing {

Result<void> RecordingSink::begin_pack(uint32_t object_count) {
  announced = object_count;
  return {};
}

Result<void> RecordingSink::begin_object(ObjectType type, uint64_t size_bytes) {
  if (open_) breaches.push_back("an object begins within another");
  open_ = true;
  object_ = {type, {}};
  size_bytes_ = size_bytes;
  return {};
}

Result<void> RecordingSink::content(std::span<const std::byte> chunk) {
  if (!open_) breaches.push_back("content outside of an object");
  object_.content.append(reinterpret_cast<const char*>(chunk.data()), chunk.size());
  return {};
}

Result<void> RecordingSink::end_object(const ObjectId& oid, uint64_t pack_offset, uint32_t crc32) {
  if (!std::exchange(open_, false)) breaches.push_back("an object ends that has not begun");
  if (object_.content.size() != size_bytes_) breaches.push_back("content is not as long as announced");
  if (hash_object(object_.type, bytes_of(object_.content)) != oid) breaches.push_back("wrong name " + oid.hex());
  objects.insert_or_assign(oid, std::move(object_));
  entries.push_back({oid, pack_offset, crc32});
  return {};
}

Result<size_t> RecordingSink::read_base(const ObjectId& oid, ObjectType type, uint64_t offset,
                                        std::span<std::byte> into) {
  ++base_reads;
  const auto found = objects.find(oid);
  if (found == objects.end() || found->second.type != type) {
    breaches.push_back("a base is read that has not ended");
    return fail(ErrorCode::not_found, "cannot read base '" + oid.hex() + "'");
  }
  const std::string& content = found->second.content;
  if (offset > content.size()) breaches.push_back("a base is read beyond its end");
  const size_t n = std::min(into.size(), content.size() - std::min<size_t>(offset, content.size()));
  std::memcpy(into.data(), content.data() + offset, n);
  return n;
}

Result<void> read_pack(std::string_view pack, PackSink& sink, const PackReaderLimits& limits, size_t slice) {
  PackReader reader(sink, limits);
  if (slice == 0) slice = std::max<size_t>(pack.size(), 1);
  for (size_t begin = 0; begin < pack.size(); begin += slice) TRY(reader.feed(bytes_of(pack.substr(begin, slice))));
  return reader.finish();
}

}  // namespace artifactfs::testing
