#include "daemon/mount_target.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/log.h"
#include "base/subprocess.h"
#include "base/unique_fd.h"
#include "daemon/mount_info.h"

namespace artifactfs {

namespace {

constexpr auto kUnmountTimeout = std::chrono::seconds(10);

Result<UniqueFd> open_without_symlinks(const std::filesystem::path& directory, const std::string& sentence) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, directory.c_str(), &how, sizeof how)));
  if (fd) return fd;
  switch (errno) {
    case ENOENT:
      return fail(ErrorCode::not_found, sentence, "the directory does not exist; make it first");
    case ENOTDIR:
      return fail(ErrorCode::not_directory, sentence, "it is not a directory");
    case ELOOP:
      return fail(ErrorCode::invalid_argument, sentence, "its path goes through a symbolic link");
    default:
      return fail_errno(errno, sentence);
  }
}

Result<bool> is_empty(UniqueFd fd, const std::string& sentence) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.get()), &::closedir);
  if (!stream) return fail_errno(errno, sentence);
  [[maybe_unused]] const int owned_by_stream = fd.release();
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one stream, one thread
  while (const dirent* entry = ::readdir(stream.get())) {
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) return false;
  }
  return true;
}

Result<void> detach(const std::filesystem::path& directory, const std::string& sentence) {
  if (::geteuid() == 0) {
    if (::umount2(directory.c_str(), MNT_DETACH) != 0) return fail_errno(errno, sentence);
    return {};
  }
  SubprocessOptions options;
  options.argv = {"fusermount3", "-u", "-z", "--", directory.string()};
  options.environment = current_environment();
  auto output = run_subprocess(std::move(options), "", Clock::system().now() + kUnmountTimeout);
  if (!output) return fail(output.error().within(sentence));
  if (output->status != 0) return fail(ErrorCode::io, sentence, output->err.substr(0, output->err.find('\n')));
  return {};
}

}  // namespace

Result<void> check_mount_target(const std::filesystem::path& directory, const std::filesystem::path& state_root) {
  const std::string name = directory.string();
  const std::string sentence = "cannot mount on '" + name + "'";
  if (!directory.is_absolute() || directory != directory.lexically_normal()) {
    return fail(ErrorCode::invalid_argument, sentence, "the path is not absolute and normalized");
  }
  if (is_within(name, state_root.string())) {
    return fail(ErrorCode::invalid_argument, sentence,
                "it is inside the state directory '" + state_root.string() + "'");
  }
  auto mounts = read_mount_info();
  if (!mounts) return fail(mounts.error().within(sentence));
  if (const MountInfo* there = mount_at(*mounts, name)) {
    return fail(ErrorCode::already_exists, sentence,
                "it is already a mount point (of '" + there->source + "', " + there->type + ")");
  }
  if (const MountInfo* over = mount_of(*mounts, name); over != nullptr && over->is_artifactfs()) {
    return fail(ErrorCode::invalid_argument, sentence,
                "it is inside the artifactfs mount '" + over->mount_point + "' (of '" + over->source + "')");
  }
  TRY_ASSIGN(UniqueFd fd, open_without_symlinks(directory, sentence));
  TRY_ASSIGN(const bool empty, is_empty(std::move(fd), sentence));
  if (!empty) return fail(ErrorCode::not_empty, sentence, "the directory is not empty");
  return {};
}

Result<void> check_local_remote(const std::filesystem::path& repository) {
  TRY_ASSIGN(const auto mounts, read_mount_info());
  const MountInfo* over = mount_of(mounts, repository.lexically_normal().string());
  if (over == nullptr || !over->is_artifactfs()) return {};
  return fail(ErrorCode::invalid_argument, "cannot mount '" + repository.string() + "'",
              "it is inside the artifactfs mount '" + over->mount_point + "'; mount '" + over->source + "' instead");
}

Result<void> detach_stale_mount(const std::filesystem::path& directory) {
  TRY_ASSIGN(const auto mounts, read_mount_info());
  const MountInfo* there = mount_at(mounts, directory.string());
  if (there == nullptr || !there->is_artifactfs()) return {};
  // Not stat(): the kernel answers that from what it cached while the server lived.
  struct statfs st {};
  if (::statfs(directory.c_str(), &st) == 0 || errno != ENOTCONN) return {};  // somebody else serves it
  TRY(detach(directory, "cannot detach the dead mount '" + directory.string() + "'"));
  log::info("detached the dead mount '{}'", directory.string());
  return {};
}

}  // namespace artifactfs
