// artifactfs mount
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "base/duration.h"
#include "base/log.h"
#include "cli/control_client.h"
#include "cli/daemon_launcher.h"
#include "cli/invocation.h"
#include "cli/mount_options.h"
#include "cli/progress_line.h"

namespace artifactfs::cli {

namespace {

// Against daemons that end just when they are asked: how often another is tried, and how long after.
constexpr int kAttempts = 5;
constexpr auto kAttemptInterval = std::chrono::milliseconds(50);

struct MountArguments {
  std::string remote;
  std::string directory;
  std::string ref;
  std::vector<std::string> options;
  std::string fetch_timeout = "60s";
  std::string prefetch = "all";
  std::string history = "shallow";
  std::string idle_exit = "10s";
  std::string log_level = "info";
  bool read_only = false;
  bool foreground = false;
};

Result<control::MountRequest> make_request(const MountArguments& arguments) {
  control::MountRequest request;
  request.remote = arguments.remote;
  request.directory = resolve_directory(arguments.directory);
  request.ref = arguments.ref;
  std::error_code error;
  const auto here = std::filesystem::current_path(error);
  request.working_directory = error ? "/" : here.string();
  for (auto& variable : without_git_variables(current_environment())) {
    if (control::is_utf8(variable)) request.environment.push_back(std::move(variable));
  }
  request.options.read_only = arguments.read_only;
  request.options.prefetch = arguments.prefetch == "all";
  TRY_ASSIGN(request.options.fetch_timeout, parse_duration(arguments.fetch_timeout));
  if (request.options.fetch_timeout <= Duration::zero()) {
    return fail(ErrorCode::invalid_argument, "cannot use --fetch-timeout '" + arguments.fetch_timeout + "'",
                "it must be longer than nothing");
  }
  TRY(apply_mount_options(arguments.options, request.options));
  return request;
}

// The request goes through a descriptor: it may hold credentials, and arguments can be seen by everyone.
Error serve_in_foreground(const std::filesystem::path& root, const control::MountRequest& request,
                          const std::string& log_level) {
  const UniqueFd fd(::memfd_create("artifactfs-mount", 0));  // inherited by the daemon's program
  if (!fd) return errno_error(errno, "cannot pass the mount on to the daemon");
  const std::string text = control::encode(request);
  if (auto written = pwrite_all(fd.get(), std::as_bytes(std::span(text)), 0); !written) return written.error();
  return exec_daemon({"--state-dir", root.string(), "--log-level", log_level, "--mount-fd", std::to_string(fd.get())});
}

Result<control::MountStatus> mount_with_daemon(const std::filesystem::path& root, const control::MountRequest& request,
                                               const std::vector<std::string>& daemon_arguments) {
  ProgressLine progress;
  for (int attempt = 1;; ++attempt) {
    TRY_ASSIGN(auto connection, connect_or_start_daemon(root, daemon_arguments));
    bool heard = false;
    auto status = post_mount(std::move(connection), request, [&](const std::string& text) {
      heard = true;
      progress.show(text);
    });
    const bool went_away = !status && status.error().code == ErrorCode::unavailable && !heard;
    if (!went_away || attempt == kAttempts) return status;
    std::this_thread::sleep_for(kAttemptInterval);
  }
}

Result<void> run_mount(const Invocation& invocation, const MountArguments& arguments) {
  TRY(parse_duration(arguments.idle_exit));
  TRY(log::parse_level(arguments.log_level));
  TRY_ASSIGN(const auto request, make_request(arguments));
  TRY_ASSIGN(const auto root, invocation.state_root());
  if (arguments.foreground) return fail(serve_in_foreground(root, request, arguments.log_level));
  TRY_ASSIGN(const auto status, mount_with_daemon(root, request,
                                                  {"--state-dir", root.string(), "--idle-exit", arguments.idle_exit,
                                                   "--log-level", arguments.log_level}));
  if (::isatty(STDOUT_FILENO) != 0) {
    std::printf("%s on %s: %s%s, %llu files\n", status.remote.c_str(), status.directory.c_str(),
                status.branch.empty() ? "" : (status.branch + " at ").c_str(), status.commit.substr(0, 10).c_str(),
                static_cast<unsigned long long>(status.files));
  }
  return {};
}

}  // namespace

void add_mount(CLI::App& app, Invocation& invocation) {
  CLI::App* verb = add_verb(app, invocation, "mount", "Mount a git remote on an empty directory");
  const auto arguments = std::make_shared<MountArguments>();
  verb->add_option("remote", arguments->remote, "URL, host:path, or path of a repository")->required();
  verb->add_option("dir", arguments->directory, "Existing empty directory, or one with a kept workspace")->required();
  verb->add_option("--ref", arguments->ref, "Branch, tag or commit to mount (default: the remote's HEAD)");
  verb->add_flag("--read-only", arguments->read_only, "Refuse all changes");
  verb->add_flag("--foreground", arguments->foreground, "Serve this mount in this process until it is unmounted");
  verb->add_option("-o", arguments->options, "Mount options: ro,allow_other,uid=N,gid=N and those of FUSE")
      ->allow_extra_args(false);
  verb->add_option("--fetch-timeout", arguments->fetch_timeout, "How long a read waits for the server, e.g. 500ms, 2m")
      ->capture_default_str();
  verb->add_option("--prefetch", arguments->prefetch, "What to fetch before it is read")
      ->check(CLI::IsMember({"none", "all"}))
      ->capture_default_str();
  verb->add_option("--history", arguments->history, "How much history to fetch")
      ->check(CLI::IsMember({"shallow"}))
      ->capture_default_str();
  verb->add_option("--idle-exit", arguments->idle_exit,
                   "A daemon started by this mount ends so long after the last one is gone")
      ->capture_default_str();
  verb->add_option("--log-level", arguments->log_level, "Of a daemon started by this mount")->capture_default_str();
  verb->callback([&invocation, arguments] {
    invocation.action = [&invocation, arguments] { return finish(run_mount(invocation, *arguments)); };
  });
}

}  // namespace artifactfs::cli
