#include "workdir/gitdir_command.h"

#include <chrono>
#include <utility>

namespace artifactfs {

namespace {

constexpr auto kGitTimeout = std::chrono::seconds(60);

}  // namespace

Result<SubprocessOutput> run_in_gitdir(const GitdirCommand& command) {
  SubprocessOptions options;
  options.environment = {"PATH=/usr/local/bin:/usr/bin:/bin",
                         "LC_ALL=C",
                         "HOME=/",
                         "GIT_NO_LAZY_FETCH=1",
                         "GIT_OPTIONAL_LOCKS=0",
                         "GIT_CONFIG_NOSYSTEM=1",
                         "GIT_CONFIG_GLOBAL=/dev/null"};
  options.user = command.owner;
  options.argv = {"git", "--git-dir=" + command.git_directory.string()};
  if (!command.work_tree.empty()) {
    options.argv.push_back("--work-tree=" + command.work_tree.string());
    options.working_directory = command.work_tree.string();
  }
  for (const char* setting : {"remote.origin.promisor=false", "safe.directory=*", "core.fsmonitor=false",
                              "core.untrackedCache=false", "core.hooksPath=/dev/null"}) {
    options.argv.insert(options.argv.end(), {"-c", setting});
  }
  options.argv.insert(options.argv.end(), command.arguments.begin(), command.arguments.end());
  return run_subprocess(std::move(options), command.input, Clock::system().now() + kGitTimeout);
}

}  // namespace artifactfs
