#include "cli/status_query.h"

#include "base/subprocess.h"
#include "cli/control_client.h"
#include "cli/daemon_launcher.h"
#include "cli/text_table.h"

namespace artifactfs::cli {

namespace {

constexpr auto kListTimeout = std::chrono::seconds(30);

// The daemon's program knows how workspaces are kept.
Result<control::StatusReport> list_kept(const std::filesystem::path& state_root) {
  TRY_ASSIGN(const auto program, daemon_program());
  SubprocessOptions options;
  options.argv = {program.string(), "--state-dir", state_root.string(), "--list-kept"};
  options.environment = current_environment();
  TRY_ASSIGN(const auto output, run_subprocess(std::move(options), "", Clock::system().now() + kListTimeout));
  if (output.status != 0) {
    return fail(ErrorCode::io, "cannot list the workspaces of '" + state_root.string() + "'", output.err);
  }
  return control::decode<control::StatusReport>(output.out);
}

}  // namespace

Result<control::StatusReport> query_status(const std::filesystem::path& state_root) {
  auto connection = control::connect_to_daemon(state_root);
  if (!connection) {
    if (connection.error().code == ErrorCode::not_found) return list_kept(state_root);
    return fail(connection.error());
  }
  TRY_ASSIGN(const auto answer, get(std::move(*connection), control::kStatusPath));
  return control::decode<control::StatusReport>(answer.dump());
}

std::string format_mounts(const std::vector<control::MountStatus>& mounts) {
  std::vector<std::vector<std::string>> rows = {{"DIRECTORY", "PHASE", "AT", "REMOTE"}};
  for (const auto& mount : mounts) {
    const std::string commit = mount.commit.substr(0, 10);
    rows.push_back({mount.directory.empty() ? mount.mount_id : mount.directory, mount.phase,
                    mount.branch.empty() ? commit : mount.branch + " " + commit, mount.remote});
  }
  return format_table(std::move(rows));
}

}  // namespace artifactfs::cli
