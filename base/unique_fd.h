// UniqueFd: an owned file descriptor. Move-only; closes on destruction. Also the few file helpers that must not leak
// one.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace artifactfs {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept;

 private:
  int fd_ = -1;
};

/// Opens with O_CLOEXEC added. Errors name the path.
Result<UniqueFd> open_file(const std::filesystem::path& path, int flags, unsigned mode = 0600);

/// The whole content of a file, at most `max_bytes` (a larger file is an error).
Result<std::string> read_file(const std::filesystem::path& path, size_t max_bytes = size_t{64} << 20);

/// Writes `content` to a temporary file beside `path`, fsyncs it, renames it over `path` and fsyncs the directory:
/// after a crash the file is the old or the new one, whole.
Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view content, unsigned mode = 0600);

/// write(2) / pwrite(2) until all is written.
Result<void> write_all(int fd, std::span<const std::byte> bytes);
Result<void> pwrite_all(int fd, std::span<const std::byte> bytes, uint64_t offset);

/// pread(2) until `into` is full or the file ends; returns the bytes read.
Result<size_t> pread_some(int fd, std::span<std::byte> into, uint64_t offset);

/// Creates `path` and its missing parents with `mode` (no error if it exists as a directory).
Result<void> make_directories(const std::filesystem::path& path, unsigned mode = 0700);

}  // namespace artifactfs
