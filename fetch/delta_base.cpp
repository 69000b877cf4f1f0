#include "fetch/delta_base.h"

#include <algorithm>

namespace artifactfs {

Result<void> read_base_exactly(PackSink& sink, const ObjectId& oid, ObjectType type, uint64_t offset,
                               std::span<std::byte> into) {
  while (!into.empty()) {
    TRY_ASSIGN(const size_t n, sink.read_base(oid, type, offset, into));
    if (n == 0 || n > into.size())
      return fail(ErrorCode::internal, "cannot read delta base '" + oid.hex() + "'", "it is shorter than it was");
    offset += n;
    into = into.subspan(n);
  }
  return {};
}

Result<void> DeltaBase::fill_window(uint64_t offset) {
  window_.resize(static_cast<size_t>(std::min<uint64_t>(kWindowBytes, size_bytes_ - offset)));
  window_offset_ = offset;
  auto read = read_base_exactly(*sink_, oid_, type_, offset, window_);
  if (!read) window_.clear();
  return read;
}

Result<void> DeltaBase::copy_to(ObjectOutput& output, uint64_t offset, uint64_t size_bytes) {
  if (whole_) return output.write(whole_->view().subspan(static_cast<size_t>(offset), static_cast<size_t>(size_bytes)));
  while (size_bytes > 0) {
    if (offset < window_offset_ || offset >= window_offset_ + window_.size()) TRY(fill_window(offset));
    const auto skip = static_cast<size_t>(offset - window_offset_);
    const auto n = static_cast<size_t>(std::min<uint64_t>(size_bytes, window_.size() - skip));
    TRY(output.write(std::span<const std::byte>(window_).subspan(skip, n)));
    offset += n;
    size_bytes -= n;
  }
  return {};
}

}  // namespace artifactfs
