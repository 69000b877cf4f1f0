#include "fetch/object_source.h"

namespace artifactfs {

Result<void> RemoteObjectSource::fetch_blobs(std::span<const ObjectId> oids, PackSink& sink,
                                             Cancellation& cancellation) {
  FetchRequest request;
  request.wants.assign(oids.begin(), oids.end());
  PackReader reader(sink);
  TRY(client_.fetch(request, reader, {}, {}, &cancellation));
  return {};
}

Result<bool> RemoteObjectSource::has_sizes() {
  TRY_ASSIGN(const ServerCapabilities capabilities, client_.capabilities());
  return capabilities.object_info;
}

Result<std::vector<std::optional<uint64_t>>> RemoteObjectSource::sizes(std::span<const ObjectId> oids,
                                                                       Cancellation& cancellation) {
  return client_.object_sizes(oids, &cancellation);
}

}  // namespace artifactfs
