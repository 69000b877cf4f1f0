// artifactfs-credential: git's credential helper for the remote of a mount (gitcredentials(7), "CUSTOM HELPERS"): hands
// git's question to the daemon and the answer to git. See base/credential_protocol.h.
//
// It always ends with 0, and says nothing when the daemon is away or knows nothing: git goes on to ask others. What
// git would have stored ("store") the daemon has already, or has no business with.

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>

#include "base/credential_protocol.h"
#include "cli/mount_socket.h"

namespace {

// Everything up to the end; -1 on an error, or when there is more than fits.
ssize_t read_to_end(int fd, char* into, size_t capacity) {
  size_t size = 0;
  for (;;) {
    const ssize_t n = ::read(fd, into + size, capacity - size);
    if (n < 0) return -1;
    if (n == 0) return static_cast<ssize_t>(size);
    size += static_cast<size_t>(n);
    if (size == capacity) return -1;
  }
}

void ask(const char* program, const char* operation) {
  static char question[artifactfs::kCredentialMaxBytes];
  static char answer[artifactfs::kCredentialMaxBytes];
  const int written = std::snprintf(question, sizeof question, "%s\n", operation);
  if (written < 0 || static_cast<size_t>(written) >= sizeof question) return;
  const auto header = static_cast<size_t>(written);
  const ssize_t described = read_to_end(STDIN_FILENO, question + header, sizeof question - header);
  if (described < 0) return;
  const int fd =
      artifactfs::connect_beside(program, artifactfs::kCredentialSocketName, artifactfs::kCredentialTimeoutSeconds);
  if (fd < 0 || !artifactfs::write_bytes(fd, question, header + static_cast<size_t>(described))) return;
  if (::shutdown(fd, SHUT_WR) != 0) return;
  // All of it before git sees any of it: a user name without its password would be half an answer.
  const ssize_t answered = read_to_end(fd, answer, sizeof answer);
  if (answered > 0) artifactfs::write_bytes(STDOUT_FILENO, answer, static_cast<size_t>(answered));
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  if (argc == 2 && (std::strcmp(argv[1], "get") == 0 || std::strcmp(argv[1], "erase") == 0)) ask(argv[0], argv[1]);
  return 0;
}
