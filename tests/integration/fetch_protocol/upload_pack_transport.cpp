#include "upload_pack_transport.h"

#include <errno.h>
#include <unistd.h>

#include "base/subprocess.h"
#include "git_fixture.h"

namespace artifactfs::testing {

namespace {

class ProcessResponse : public Response {
 public:
  explicit ProcessResponse(Subprocess child) : child_(std::move(child)) {}
  Result<size_t> read(std::span<std::byte> into) override {
    for (;;) {
      const ssize_t n = ::read(child_.stdout_fd(), into.data(), into.size());
      if (n >= 0) return static_cast<size_t>(n);
      if (errno != EINTR) return fail_errno(errno, "cannot read from git-upload-pack");
    }
  }
  void cancel() noexcept override { child_.terminate(); }

 private:
  Subprocess child_;
};

}  // namespace

Result<std::unique_ptr<Response>> UploadPackTransport::run(const char* mode, std::string_view request) const {
  SubprocessOptions options;
  options.argv = {"git", "upload-pack", "--strict", mode, repository_.string()};
  options.environment = GitFixture::environment();
  if (!protocol_.empty()) set_environment_value(options.environment, "GIT_PROTOCOL", protocol_);
  options.pipe_stdin = options.pipe_stdout = true;
  TRY_ASSIGN(Subprocess child, Subprocess::start(options));
  // upload-pack reads a whole request before it answers, so this cannot get stuck.
  TRY(write_all(child.stdin_fd(), std::as_bytes(std::span(request))));
  child.close_stdin();
  return std::make_unique<ProcessResponse>(std::move(child));
}

Result<std::unique_ptr<Response>> UploadPackTransport::advertisement() { return run("--http-backend-info-refs", {}); }

Result<std::unique_ptr<Response>> UploadPackTransport::command(std::string request) {
  return run("--stateless-rpc", request);
}

}  // namespace artifactfs::testing
