// artifactfs: the command line. Reads its arguments, hands the work to the daemon, reports.
#include <cstdio>

#include "cli/invocation.h"

namespace {

using artifactfs::cli::Invocation;

std::string usage_error(const CLI::App* app, const CLI::Error& error) {
  const CLI::App* named = app;
  for (const CLI::App* verb : app->get_subcommands()) named = verb;
  const std::string name = named == app ? "artifactfs" : "artifactfs " + named->get_name();
  return std::string("artifactfs: ") + error.what() + "; see `" + name + " --help`\n";
}

}  // namespace

int main(int argc, char** argv) {
  Invocation invocation;
  CLI::App app("Mounts git repositories of any size as directories", "artifactfs");
  app.set_version_flag("--version", "artifactfs " ARTIFACTFS_VERSION);
  app.require_subcommand(0, 1);  // its own words for none would hide those for an unknown verb
  app.failure_message(usage_error);
  artifactfs::cli::add_mount(app, invocation);
  artifactfs::cli::add_unmount(app, invocation);
  artifactfs::cli::add_remove(app, invocation);
  artifactfs::cli::add_gc(app, invocation);
  artifactfs::cli::add_list(app, invocation);
  artifactfs::cli::add_status(app, invocation);
  artifactfs::cli::add_daemon(app, invocation);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? artifactfs::cli::kOk : artifactfs::cli::kUsage;
  }
  if (!invocation.action) {
    std::fputs("artifactfs: a verb is required; see `artifactfs --help`\n", stderr);
    return artifactfs::cli::kUsage;
  }
  return invocation.action();
}
