#include "workdir/lock_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

namespace artifactfs {

Result<void> give_to(const std::filesystem::path& path, const UserIds& owner) {
  if (::geteuid() != 0 || owner.uid == 0) return {};
  if (::lchown(path.c_str(), owner.uid, owner.gid) != 0) {
    return fail_errno(errno, "cannot change the owner of '" + path.string() + "'");
  }
  return {};
}

Result<LockFile> LockFile::acquire(const std::filesystem::path& path, int attempts) {
  const std::string lock = path.string() + ".lock";
  int problem = 0;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    if (attempt != 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    UniqueFd fd(::open(lock.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (fd) return LockFile(path, lock, std::move(fd));
    problem = errno;
    if (problem != EEXIST) break;
  }
  return fail_errno(problem, "cannot lock '" + path.string() + "'");
}

Result<LockFile> LockFile::prepare(const std::filesystem::path& path) {
  const std::string prepared = path.string() + ".artifactfs-new";
  UniqueFd fd(::open(prepared.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!fd) return fail_errno(errno, "cannot create '" + prepared + "'");
  return LockFile(path, prepared, std::move(fd));
}

LockFile::LockFile(std::filesystem::path path, std::string lock, UniqueFd fd)
    : path_(std::move(path)), lock_(std::move(lock)), fd_(std::move(fd)) {}

LockFile::LockFile(LockFile&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, {})), fd_(std::move(other.fd_)) {}

LockFile::~LockFile() {
  if (!lock_.empty()) ::unlink(lock_.c_str());
}

Result<void> LockFile::append(std::span<const std::byte> bytes) { return write_all(fd_.get(), bytes); }

Result<void> LockFile::lock() {
  const std::string lock = path_.string() + ".lock";
  if (::link(lock_.c_str(), lock.c_str()) != 0) return fail_errno(errno, "cannot lock '" + path_.string() + "'");
  ::unlink(lock_.c_str());
  lock_ = lock;
  return {};
}

Result<void> LockFile::commit(const UserIds& owner, bool durable) {
  if (durable && ::fsync(fd_.get()) != 0) return fail_errno(errno, "cannot write '" + lock_ + "'");
  TRY(give_to(lock_, owner));
  if (::rename(lock_.c_str(), path_.c_str()) != 0) return fail_errno(errno, "cannot write '" + path_.string() + "'");
  lock_.clear();
  return {};
}

Result<void> LockFile::commit(std::string_view content, const UserIds& owner) {
  TRY(append(std::as_bytes(std::span(content))));
  return commit(owner, true);
}

}  // namespace artifactfs
