#include "fetch/user_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <span>

namespace artifactfs {

namespace {
constexpr std::chrono::seconds kReadTimeout{10};
}

Result<UserFile> UserFile::open(const std::string& path, const TransportContext& context) {
  const std::string sentence = "cannot read '" + path + "'";
  UserFile file;
  if (::geteuid() != 0 || !context.user || context.user->uid == 0) {
    if (::access(path.c_str(), R_OK) != 0) return fail_errno(errno, sentence);
    file.path_ = path;
    return file;
  }
  SubprocessOptions options;
  options.argv = {"/bin/cat", "--", path};
  options.environment = context.environment;
  options.working_directory = context.working_directory;
  options.user = context.user;
  TRY_ASSIGN(const SubprocessOutput output, run_subprocess(options, {}, Clock::system().now() + kReadTimeout));
  if (output.status != 0) return fail(ErrorCode::permission_denied, sentence, output.err);
  if (output.out.size() > kMaxBytes) return fail(ErrorCode::out_of_range, sentence, "too large");
  file.memory_ = UniqueFd(::memfd_create("artifactfs-user-file", MFD_CLOEXEC));
  if (!file.memory_) return fail_errno(errno, sentence);
  TRY(write_all(file.memory_.get(), std::as_bytes(std::span(output.out))));
  file.path_ = "/proc/self/fd/" + std::to_string(file.memory_.get());
  return file;
}

}  // namespace artifactfs
