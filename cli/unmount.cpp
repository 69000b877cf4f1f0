// artifactfs unmount
#include "cli/control_client.h"
#include "cli/invocation.h"

namespace artifactfs::cli {

namespace {

Result<void> run_unmount(const Invocation& invocation, const control::DirectoryRequest& request) {
  TRY_ASSIGN(const auto root, invocation.state_root());
  auto connection = control::connect_to_daemon(root);
  if (!connection) {
    if (connection.error().code != ErrorCode::not_found) return fail(connection.error());
    return fail(ErrorCode::not_found, "cannot unmount '" + request.directory + "'",
                "no daemon runs on '" + root.string() + "', so it is not mounted");
  }
  TRY(post(std::move(*connection), control::kUnmountPath, request));
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
