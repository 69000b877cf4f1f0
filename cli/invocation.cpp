#include "cli/invocation.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/log.h"
#include "base/subprocess.h"
#include "daemon/control_protocol.h"

namespace artifactfs::cli {

namespace fs = std::filesystem;

Result<fs::path> Invocation::state_root() const {
  std::error_code error;
  const fs::path here = fs::current_path(error);
  return control::state_root(state_dir, current_environment(), ::geteuid(), error ? fs::path("/") : here);
}

CLI::App* add_verb(CLI::App& app, Invocation& invocation, const std::string& name, const std::string& description) {
  CLI::App* verb = app.add_subcommand(name, description);
  verb->set_version_flag("--version", "artifactfs " ARTIFACTFS_VERSION);
  verb->add_option("--state-dir", invocation.state_dir, "Where state is kept (see artifactfs(1))");
  return verb;
}

int report(const Error& error) {
  std::string text = log::redact(error.text());
  std::ranges::replace(text, '\n', ' ');
  std::fprintf(stderr, "artifactfs: %s\n", text.c_str());
  return error.code == ErrorCode::invalid_argument ? kUsage : kFailed;
}

int finish(const Result<void>& result) { return result ? kOk : report(result.error()); }

std::string resolve_directory(const std::string& text) {
  std::error_code error;
  fs::path path = fs::absolute(text, error);
  if (error) path = text;
  path = path.lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (const fs::path resolved = fs::canonical(path, error); !error) return resolved.string();
  if (const fs::path parent = fs::canonical(path.parent_path(), error); !error) {
    return (parent / path.filename()).string();
  }
  return path.string();
}

}  // namespace artifactfs::cli
