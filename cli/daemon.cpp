// artifactfs daemon
#include "base/log.h"
#include "cli/daemon_launcher.h"
#include "cli/invocation.h"

namespace artifactfs::cli {

namespace {

int run_daemon_verb(const Invocation& invocation, const std::string& log_level) {
  if (const auto level = log::parse_level(log_level); !level) return report(level.error());
  const auto root = invocation.state_root();
  if (!root) return report(root.error());
  return report(exec_daemon({"--state-dir", root->string(), "--log-level", log_level}));
}

}  // namespace

void add_daemon(CLI::App& app, Invocation& invocation) {
  CLI::App* verb =
      add_verb(app, invocation, "daemon", "Serve mounts in the foreground, first bringing back the last ones");
  const auto log_level = std::make_shared<std::string>("info");
  verb->add_option("--log-level", *log_level, "trace, debug, info, warning, error or off")->capture_default_str();
  verb->callback([&invocation, log_level] {
    invocation.action = [&invocation, log_level] { return run_daemon_verb(invocation, *log_level); };
  });
}

}  // namespace artifactfs::cli
