#include "daemon/daemon_main.h"

#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/duration.h"
#include "base/log.h"
#include "daemon/daemon_process.h"
#include "daemon/mount_record.h"

namespace artifactfs {

namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kFirstFreeDescriptor = 3;

struct Arguments {
  std::string state_dir;
  std::string log_level = "info";
  std::string idle_exit;
  int ready_fd = -1;
  int mount_fd = -1;
  bool list_kept = false;
  bool no_recovery = false;
};

int report(const Error& error, int code = kFailed) {
  std::fprintf(stderr, "artifactfs: %s\n", log::redact(error.text()).c_str());
  return code;
}

/// The state of a directory that no daemon serves, in the form of GET /v1/status.
int print_kept(const std::filesystem::path& state_root) {
  control::StatusReport report;
  const auto mounts = state_root / "mounts";
  for (const auto& [mount_id, record] : list_workspaces(mounts)) {
    report.mounts.push_back(unmounted_status(mount_id, record, mounts));
    if (record && record->mounted) {
      report.mounts.back().last_error = "the daemon that served it has ended; `artifactfs daemon` brings it back";
    }
  }
  std::printf("%s\n", control::encode(report).c_str());
  return 0;
}

Result<std::string> read_to_end(UniqueFd fd) {
  return read_file("/proc/self/fd/" + std::to_string(fd.get()), control::kMaxRequestBytes);
}

Result<DaemonOptions> daemon_options(const Arguments& arguments) {
  DaemonOptions options;
  options.state_root = arguments.state_dir;
  options.recovery = !arguments.no_recovery;
  if (arguments.ready_fd >= kFirstFreeDescriptor) options.ready.reset(arguments.ready_fd);
  if (!arguments.idle_exit.empty()) {
    TRY_ASSIGN(options.idle_exit, parse_duration(arguments.idle_exit));
  }
  if (arguments.mount_fd >= kFirstFreeDescriptor) {
    TRY_ASSIGN(const std::string text, read_to_end(UniqueFd(arguments.mount_fd)));
    TRY_ASSIGN(options.foreground_mount, control::decode<control::MountRequest>(text));
  }
  return options;
}

}  // namespace

int daemon_main(int argc, char** argv, Rooms rooms) {
  Arguments arguments;
  CLI::App app("The daemon of artifactfs; see artifactfs(1)", "artifactfs-daemon");
  app.set_version_flag("--version", "artifactfs-daemon " ARTIFACTFS_VERSION);
  app.add_option("--state-dir", arguments.state_dir, "Absolute path of the state directory")->required();
  app.add_option("--log-level", arguments.log_level, "trace, debug, info, warning, error or off");
  app.add_option("--idle-exit", arguments.idle_exit, "Log to a file; end so long after the last mount is gone");
  app.add_option("--ready-fd", arguments.ready_fd, "Descriptor to write 'ready' or an error line to");
  app.add_option("--mount-fd", arguments.mount_fd, "Descriptor to read one mount request from, and serve that");
  app.add_flag("--no-recovery", arguments.no_recovery, "Do not bring back the mounts of the last daemon");
  app.add_flag("--list-kept", arguments.list_kept, "Print the workspaces on disk as JSON and end");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : kUsage;
  }
  const auto level = log::parse_level(arguments.log_level);
  if (!level) return report(level.error(), kUsage);
  log::set_level(*level);
  if (arguments.list_kept) return print_kept(arguments.state_dir);
  auto options = daemon_options(arguments);
  if (!options) return report(options.error(), kUsage);
  // Where it was started must not be kept from being unmounted, nor be a mount of its own.
  if (::chdir("/") != 0) return report(errno_error(errno, "cannot change to '/'"));
  ::umask(077);
  if (auto result = run_daemon(std::move(*options), std::move(rooms)); !result) return report(result.error());
  return 0;
}

}  // namespace artifactfs
