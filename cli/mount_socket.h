// How the little programs that git runs in a mount talk to the daemon: through a socket beside the link that they were
// started as. Header-only and without libraries, for programs that must start at once.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace artifactfs {

inline bool write_bytes(int fd, const char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(fd, bytes, size);
    if (n <= 0) return false;
    bytes += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

/// Connects to the socket `name` in the directory of `program` (a path); -1 when nobody is there. Reads and writes on
/// it wait for `timeout_seconds` at most.
inline int connect_beside(const char* program, const char* name, int timeout_seconds) {
  const char* slash = std::strrchr(program, '/');
  char directory[4096];
  const size_t length = slash == nullptr ? 0 : static_cast<size_t>(slash - program);
  if (length == 0 || length >= sizeof directory) return -1;
  std::memcpy(directory, program, length);
  directory[length] = '\0';
  const int directory_fd = ::open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (directory_fd < 0 || fd < 0) return -1;
  const timeval timeout{timeout_seconds, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;  // by descriptor: the directory's path may be longer than a socket's may be
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory_fd, name);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -1;
  return fd;
}

}  // namespace artifactfs
