// artifactfs remove
#include "cli/control_client.h"
#include "cli/daemon_launcher.h"
#include "cli/invocation.h"

namespace artifactfs::cli {

namespace {

Result<void> run_remove(const Invocation& invocation, const control::DirectoryRequest& request) {
  TRY_ASSIGN(const auto root, invocation.state_root());
  TRY_ASSIGN(auto connection, connect_or_start_brief_daemon(root));
  TRY(post(std::move(connection), control::kRemovePath, request));
  return {};
}

}  // namespace

void add_remove(CLI::App& app, Invocation& invocation) {
  CLI::App* verb = add_verb(app, invocation, "remove", "Unmount a directory and delete its workspace");
  const auto request = std::make_shared<control::DirectoryRequest>();
  verb->add_option("dir", request->directory, "The directory of the workspace")->required();
  verb->add_flag("--force", request->force, "Delete it even with work in it that is nowhere else");
  verb->callback([&invocation, request] {
    invocation.action = [&invocation, request] {
      request->directory = resolve_directory(request->directory);
      return finish(run_remove(invocation, *request));
    };
  });
}

}  // namespace artifactfs::cli
