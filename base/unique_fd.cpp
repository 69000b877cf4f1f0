#include "base/unique_fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace artifactfs {

void UniqueFd::reset(int fd) noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<UniqueFd> open_file(const std::filesystem::path& path, int flags, unsigned mode) {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, static_cast<mode_t>(mode));
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return fail_errno(errno, "cannot open '" + path.string() + "'");
  return UniqueFd(fd);
}

Result<std::string> read_file(const std::filesystem::path& path, size_t max_bytes) {
  TRY_ASSIGN(UniqueFd fd, open_file(path, O_RDONLY));
  std::string content;
  char buffer[16384];
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot read '" + path.string() + "'");
    if (n == 0) return content;
    content.append(buffer, static_cast<size_t>(n));
    if (content.size() > max_bytes)
      return fail(ErrorCode::out_of_range, "cannot read '" + path.string() + "'", "too large");
  }
}

Result<void> write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot write");
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Result<void> pwrite_all(int fd, std::span<const std::byte> bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot write");
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<size_t> pread_some(int fd, std::span<std::byte> into, uint64_t offset) {
  size_t done = 0;
  while (done < into.size()) {
    const ssize_t n = ::pread(fd, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot read");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view content, unsigned mode) {
  const std::string sentence = "cannot write '" + path.string() + "'";
  std::filesystem::path temporary = path;
  // Two threads may write the same file at once.
  static std::atomic<uint64_t> writes = 0;
  temporary += ".tmp" + std::to_string(::getpid()) + "-" + std::to_string(writes++);
  auto fd = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode);
  if (!fd) return fail(fd.error().within(sentence));
  auto discard = [&](const Error& error) {
    ::unlink(temporary.c_str());
    return fail(error.within(sentence));
  };
  if (auto r = write_all(fd->get(), std::as_bytes(std::span(content))); !r) return discard(r.error());
  if (::fsync(fd->get()) != 0) return discard(errno_error(errno, ""));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return discard(errno_error(errno, ""));
  const auto parent = path.parent_path();
  if (auto dir = open_file(parent.empty() ? "." : parent, O_RDONLY | O_DIRECTORY)) ::fsync(dir->get());
  return {};
}

Result<void> make_directories(const std::filesystem::path& path, unsigned mode) {
  if (::mkdir(path.c_str(), static_cast<mode_t>(mode)) == 0) return {};
  if (errno == ENOENT && path.has_parent_path() && path.parent_path() != path) {
    TRY(make_directories(path.parent_path(), mode));
    if (::mkdir(path.c_str(), static_cast<mode_t>(mode)) == 0) return {};
  }
  if (errno == EEXIST) {
    struct stat st {};
    if (::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) return {};
    errno = ENOTDIR;
  }
  return fail_errno(errno, "cannot create directory '" + path.string() + "'");
}

}  // namespace artifactfs
