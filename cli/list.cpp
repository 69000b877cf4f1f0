// artifactfs list
#include <cstdio>

#include "cli/invocation.h"
#include "cli/status_query.h"

namespace artifactfs::cli {

namespace {

int run_list(const Invocation& invocation, bool as_json) {
  const auto root = invocation.state_root();
  if (!root) return report(root.error());
  const auto status = query_status(*root);
  if (!status) return report(status.error());
  if (as_json) {
    std::printf("%s\n", control::encode(nlohmann::json{{"mounts", status->mounts}}).c_str());
  } else if (!status->mounts.empty()) {
    std::fputs(format_mounts(status->mounts).c_str(), stdout);
  }
  return kOk;
}

}  // namespace

void add_list(CLI::App& app, Invocation& invocation) {
  CLI::App* verb = add_verb(app, invocation, "list", "List all workspaces, mounted or kept");
  const auto as_json = std::make_shared<bool>(false);
  verb->add_flag("--json", *as_json, "Print JSON");
  verb->callback([&invocation, as_json] {
    invocation.action = [&invocation, as_json] { return run_list(invocation, *as_json); };
  });
}

}  // namespace artifactfs::cli
