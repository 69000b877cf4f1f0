#include "workdir/filesystem.h"

namespace artifactfs {

namespace {

std::unexpected<Error> refused() { return fail(ErrorCode::read_only, "cannot change anything", "mounted read-only"); }

}  // namespace

Result<Attributes> Filesystem::mknod(const Caller&, InodeNumber, std::string_view, uint32_t, uint64_t) {
  return refused();
}
Result<Attributes> Filesystem::mkdir(const Caller&, InodeNumber, std::string_view, uint32_t) { return refused(); }
Result<Attributes> Filesystem::symlink(const Caller&, InodeNumber, std::string_view, std::string_view) {
  return refused();
}
Result<Attributes> Filesystem::link(InodeNumber, InodeNumber, std::string_view) { return refused(); }
Result<Attributes> Filesystem::tmpfile(const Caller&, InodeNumber, uint32_t) { return refused(); }
Result<void> Filesystem::unlink(InodeNumber, std::string_view) { return refused(); }
Result<void> Filesystem::rmdir(InodeNumber, std::string_view) { return refused(); }
Result<void> Filesystem::rename(InodeNumber, std::string_view, InodeNumber, std::string_view, RenameMode) {
  return refused();
}

Ticket Filesystem::setattr(InodeNumber, const AttributeChange&, Completion<Attributes> done) {
  done(refused());
  return nullptr;
}
Ticket Filesystem::write(InodeNumber, uint64_t, std::span<const std::byte>, bool, Completion<size_t> done) {
  done(refused());
  return nullptr;
}
Ticket Filesystem::fallocate(InodeNumber, AllocateMode, uint64_t, uint64_t, Completion<void> done) {
  done(refused());
  return nullptr;
}
Ticket Filesystem::seek(InodeNumber, SeekTo, uint64_t, Completion<std::optional<uint64_t>> done) {
  done(fail(ErrorCode::not_supported, "cannot seek", "not supported"));
  return nullptr;
}
Ticket Filesystem::copy_file_range(InodeNumber, uint64_t, InodeNumber, uint64_t, uint64_t, Completion<size_t> done) {
  done(refused());
  return nullptr;
}
Ticket Filesystem::fsync(InodeNumber, bool, Completion<void> done) {
  done({});  // nothing can be dirty
  return nullptr;
}
Result<void> Filesystem::setxattr(InodeNumber, std::string_view, std::string_view, XattrMode) { return refused(); }
Result<void> Filesystem::removexattr(InodeNumber, std::string_view) { return refused(); }

}  // namespace artifactfs
