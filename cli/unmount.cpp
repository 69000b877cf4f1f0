// artifactfs unmount
#include "cli/control_client.h"
#include "cli/daemon_launcher.h"
#include "cli/invocation.h"

namespace artifactfs::cli {

namespace {

Result<void> run_unmount(const Invocation& invocation, const control::DirectoryRequest& request) {
  TRY_ASSIGN(const auto root, invocation.state_root());
  std::error_code error;
  if (!std::filesystem::exists(root, error)) {
    return fail(ErrorCode::not_found, "cannot unmount '" + request.directory + "'", "it is not mounted");
  }
  // Without a daemon there may still be the dead mount of one that was killed.
  TRY_ASSIGN(auto connection, connect_or_start_brief_daemon(root));
  TRY(post(std::move(connection), control::kUnmountPath, request));
  return {};
}

}  // namespace

void add_unmount(CLI::App& app, Invocation& invocation) {
  CLI::App* verb = add_verb(app, invocation, "unmount", "Unmount a directory, keeping its workspace");
  const auto request = std::make_shared<control::DirectoryRequest>();
  verb->add_option("dir", request->directory, "The mounted directory")->required();
  verb->add_flag("--force", request->force, "Detach it even while it is in use");
  verb->callback([&invocation, request] {
    invocation.action = [&invocation, request] {
      request->directory = resolve_directory(request->directory);
      return finish(run_unmount(invocation, *request));
    };
  });
}

}  // namespace artifactfs::cli
