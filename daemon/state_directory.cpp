#include "daemon/state_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "daemon/mount_info.h"

namespace artifactfs {

namespace {

// Root's mounts may belong to other users (-o uid=), whose git has to reach its gitdir; what is private is so by
// itself.
unsigned directory_mode() { return ::geteuid() == 0 ? 0711 : 0700; }

Result<UniqueFd> take_lock(const std::filesystem::path& path) {
  TRY_ASSIGN(UniqueFd fd, open_file(path, O_RDWR | O_CREAT, 0600));
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return fail_errno(errno, "cannot lock '" + path.string() + "'");
    const auto holder = read_file(path, 64);
    const std::string pid = holder ? holder->substr(0, holder->find('\n')) : "";
    return fail(ErrorCode::busy, "", "the daemon with pid " + (pid.empty() ? "?" : pid) + " is using it");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd.get(), 0) != 0) return fail_errno(errno, "cannot write '" + path.string() + "'");
  TRY(pwrite_all(fd.get(), std::as_bytes(std::span(pid)), 0));
  return fd;
}

}  // namespace

Result<StateDirectory> StateDirectory::open(const std::filesystem::path& root) {
  const std::string sentence = "cannot use state directory '" + root.string() + "'";
  auto mounts = read_mount_info();
  if (!mounts) return fail(mounts.error().within(sentence));
  // Looking into our own mount from the process that serves it would be a deadlock (rule 6).
  if (const MountInfo* over = mount_of(*mounts, root.string()); over != nullptr && over->is_artifactfs()) {
    return fail(ErrorCode::invalid_argument, sentence, "it is inside the artifactfs mount '" + over->mount_point + "'");
  }
  if (auto made = make_directories(root, directory_mode()); !made) return fail(made.error().within(sentence));
  auto lock = take_lock(root / "lock");
  if (!lock) return fail(lock.error().within(sentence));
  StateDirectory state(root, std::move(*lock));
  for (const auto& directory : {state.stores(), state.mounts()}) {
    if (auto made = make_directories(directory, directory_mode()); !made) return fail(made.error().within(sentence));
    if (::access(directory.c_str(), W_OK | X_OK) != 0) return fail_errno(errno, sentence);
  }
  return state;
}

Result<void> StateDirectory::redirect_output_to_log() const {
  const std::filesystem::path path = root_ / "daemon.log";
  struct stat st {};
  if (::stat(path.c_str(), &st) == 0 && static_cast<uint64_t>(st.st_size) > kMaxLogBytes) {
    std::filesystem::path older = path;
    older += ".1";
    if (::rename(path.c_str(), older.c_str()) != 0) return fail_errno(errno, "cannot rotate '" + path.string() + "'");
  }
  TRY_ASSIGN(UniqueFd log, open_file(path, O_WRONLY | O_CREAT | O_APPEND, 0600));
  if (::dup2(log.get(), STDOUT_FILENO) < 0 || ::dup2(log.get(), STDERR_FILENO) < 0) {
    return fail_errno(errno, "cannot write to '" + path.string() + "'");
  }
  return {};
}

}  // namespace artifactfs
