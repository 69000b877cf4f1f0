// artifactfs status
#include <cstdio>

#include "base/duration.h"
#include "cli/invocation.h"
#include "cli/status_query.h"
#include "cli/text_table.h"

namespace artifactfs::cli {

namespace {

struct StatusArguments {
  std::string directory;
  bool as_json = false;
};

/// The workspace whose directory is, or contains, `directory`.
Result<control::MountStatus> find_mount(const control::StatusReport& report, const std::string& directory) {
  const control::MountStatus* best = nullptr;
  for (const auto& mount : report.mounts) {
    const std::string& at = mount.directory;
    const bool contains =
        !at.empty() && directory.starts_with(at) && (directory.size() == at.size() || directory[at.size()] == '/');
    if (contains && (best == nullptr || at.size() > best->directory.size())) best = &mount;
  }
  if (best != nullptr) return *best;
  return fail(ErrorCode::not_found, "cannot show '" + directory + "'", "there is no workspace of this directory");
}

void print_mount(const control::MountStatus& mount) {
  std::vector<std::vector<std::string>> rows;
  const auto row = [&rows](const std::string& name, const std::string& value) {
    if (!value.empty()) rows.push_back({name, value});
  };
  row("directory", mount.directory);
  row("remote", mount.remote);
  row("phase", mount.phase);
  row("branch", mount.branch);
  row("commit", mount.commit);
  row("files", std::to_string(mount.files));
  row("limitation", mount.limitation);
  row("last error", mount.last_error);
  row("blocked readers", std::to_string(mount.blocked_readers));
  row("pending fetches", std::to_string(mount.pending_fetches));
  row("requests", std::to_string(mount.requests) + " (" + format_bytes(mount.bytes_received) + " received)");
  row("cache", std::to_string(mount.cache.blobs) + " blobs, " + format_bytes(mount.cache.content_bytes) + " (" +
                   format_bytes(mount.cache.disk_bytes) + " on disk)");
  row("fetch timeout", format_duration(mount.options.fetch_timeout));
  row("prefetch", mount.options.prefetch ? "all" : "none");
  row("mount id", mount.mount_id);
  row("git directory", mount.git_directory);
  std::fputs(format_table(std::move(rows)).c_str(), stdout);
}

void print_report(const control::StatusReport& status) {
  if (status.daemon) {
    std::printf("daemon: pid %lld, version %s\n", static_cast<long long>(status.daemon->pid),
                status.daemon->version.c_str());
  } else {
    std::printf("daemon: not running\n");
  }
  if (!status.mounts.empty()) std::fputs(format_mounts(status.mounts).c_str(), stdout);
  for (const auto& mount : status.mounts) {
    if (!mount.last_error.empty()) std::printf("%s: %s\n", mount.directory.c_str(), mount.last_error.c_str());
    if (!mount.limitation.empty()) std::printf("%s: %s\n", mount.directory.c_str(), mount.limitation.c_str());
  }
}

int run_status(const Invocation& invocation, const StatusArguments& arguments) {
  const auto root = invocation.state_root();
  if (!root) return report(root.error());
  const auto status = query_status(*root);
  if (!status) return report(status.error());
  if (arguments.directory.empty()) {
    if (arguments.as_json) {
      std::printf("%s\n", control::encode(*status).c_str());
    } else {
      print_report(*status);
    }
    return kOk;
  }
  const auto mount = find_mount(*status, resolve_directory(arguments.directory));
  if (!mount) return report(mount.error());
  if (arguments.as_json) {
    std::printf("%s\n", control::encode(*mount).c_str());
  } else {
    print_mount(*mount);
  }
  return kOk;
}

}  // namespace

void add_status(CLI::App& app, Invocation& invocation) {
  CLI::App* verb = add_verb(app, invocation, "status", "Show the daemon and its mounts, or one mount in full");
  const auto arguments = std::make_shared<StatusArguments>();
  verb->add_option("dir", arguments->directory, "A mounted directory, or one inside it");
  verb->add_flag("--json", arguments->as_json, "Print JSON");
  verb->callback([&invocation, arguments] {
    invocation.action = [&invocation, arguments] { return run_status(invocation, *arguments); };
  });
}

}  // namespace artifactfs::cli
