// artifactfs-fsmonitor: git's core.fsmonitor hook in a mount (version 2 of its protocol). git runs it for every
// command, so it is static, allocates once and uses no library. See base/fsmonitor_protocol.h.
//
// It always ends with 0: an answer "everything" costs git a look at all files, a failure costs the same and a warning.

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/fsmonitor_protocol.h"
#include "cli/fsmonitor/asking_command.h"
#include "cli/mount_socket.h"

namespace {

// A token that no daemon knows: the next question is answered with everything too, and with a token to go on from.
constexpr char kEverything[] = "artifactfs:unknown\0/";  // the literal's own NUL ends the path

bool read_all(int fd, void* into, size_t size) {
  auto* bytes = static_cast<char*>(into);
  while (size > 0) {
    const ssize_t n = ::read(fd, bytes, size);
    if (n <= 0) return false;
    bytes += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

// Whether the working directory is the root of the mount that answered.
bool is_here(const artifactfs::FsmonitorReply& reply) {
  struct stat here {};
  return ::stat(".", &here) == 0 && here.st_dev == reply.device && here.st_ino == reply.inode;
}

// The body as the daemon sent it, or as much of it as the asking command can bear.
bool write_answer(const char* body, size_t body_bytes) {
  constexpr char kAll[] = "/";
  constexpr char kGitmodules[] = ".gitmodules";
  switch (artifactfs::asking_command()) {
    case artifactfs::AskingCommand::ordinary:
      break;
    case artifactfs::AskingCommand::needs_everything: {
      const void* token_end = std::memchr(body, '\0', body_bytes);
      if (token_end == nullptr) return false;
      const auto token_bytes = static_cast<size_t>(static_cast<const char*>(token_end) - body) + 1;
      return artifactfs::write_bytes(STDOUT_FILENO, body, token_bytes) &&
             artifactfs::write_bytes(STDOUT_FILENO, kAll, sizeof kAll);
    }
    case artifactfs::AskingCommand::writes_gitmodules:
      if (::access(kGitmodules, F_OK) != 0) break;
      return artifactfs::write_bytes(STDOUT_FILENO, body, body_bytes) &&
             artifactfs::write_bytes(STDOUT_FILENO, kGitmodules, sizeof kGitmodules);
  }
  return artifactfs::write_bytes(STDOUT_FILENO, body, body_bytes);
}

bool answer(const char* program, const char* token) {
  const int fd =
      artifactfs::connect_beside(program, artifactfs::kFsmonitorSocketName, artifactfs::kFsmonitorTimeoutSeconds);
  if (fd < 0) return false;
  const size_t token_bytes = std::strlen(token);
  if (token_bytes > artifactfs::kFsmonitorMaxTokenBytes || !artifactfs::write_bytes(fd, token, token_bytes))
    return false;
  if (::shutdown(fd, SHUT_WR) != 0) return false;
  artifactfs::FsmonitorReply reply;
  if (!read_all(fd, &reply, sizeof reply) || reply.magic != artifactfs::kFsmonitorMagic) return false;
  if (reply.body_bytes == 0 || reply.body_bytes > artifactfs::kFsmonitorMaxBodyBytes || !is_here(reply)) return false;
  // All of it before git sees any of it: half a list would hide changes.
  auto* body = static_cast<char*>(std::malloc(reply.body_bytes));
  if (body == nullptr || !read_all(fd, body, reply.body_bytes)) return false;
  return write_answer(body, reply.body_bytes);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || std::strcmp(argv[1], "2") != 0) {
    artifactfs::write_bytes(STDOUT_FILENO, "/", 2);  // version 1 has no token
  } else if (!answer(argv[0], argv[2])) {
    artifactfs::write_bytes(STDOUT_FILENO, kEverything, sizeof kEverything);
  }
  return 0;
}
