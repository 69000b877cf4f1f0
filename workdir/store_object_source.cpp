#include "workdir/remote_store.h"

namespace artifactfs {

Result<void> StoreObjectSource::fetch_blobs(std::span<const ObjectId> oids, PackSink& sink,
                                            Cancellation& cancellation) {
  if (!local_) return remote_.fetch_blobs(oids, sink, cancellation);
  for (const auto& oid : oids) {
    if (cancellation.cancelled()) return fail(ErrorCode::cancelled, "cannot read objects", "cancelled");
    auto object = objects_.read(oid);
    if (!object && object.error().code == ErrorCode::not_found) {
      return fail(ErrorCode::refused_object, "cannot read objects", "not in the downloaded repository: " + oid.hex());
    }
    if (!object) return fail(object.error());
    TRY(sink.begin_object(object->type, object->content.size()));
    TRY(sink.content(object->content));
    TRY(sink.end_object(oid, 0, 0));  // libgit2 verifies what it reads
  }
  return {};
}

Result<bool> StoreObjectSource::has_sizes() {
  if (local_) return true;
  return remote_.has_sizes();
}

Result<std::vector<std::optional<uint64_t>>> StoreObjectSource::sizes(std::span<const ObjectId> oids,
                                                                      Cancellation& cancellation) {
  if (!local_) return remote_.sizes(oids, cancellation);
  std::vector<std::optional<uint64_t>> out;
  out.reserve(oids.size());
  for (const auto& oid : oids) out.push_back(objects_.size(oid));
  return out;
}

}  // namespace artifactfs
