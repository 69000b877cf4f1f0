// artifactfs gc
#include <cstdio>

#include "cli/control_client.h"
#include "cli/daemon_launcher.h"
#include "cli/invocation.h"
#include "cli/text_table.h"

namespace artifactfs::cli {

namespace {

Result<void> run_gc(const Invocation& invocation, bool as_json) {
  TRY_ASSIGN(const auto root, invocation.state_root());
  TRY_ASSIGN(auto connection, connect_or_start_brief_daemon(root));
  TRY_ASSIGN(const auto answer, post(std::move(connection), control::kGcPath, nlohmann::json::object()));
  if (as_json) {
    std::printf("%s\n", control::encode(answer).c_str());
    return {};
  }
  TRY_ASSIGN(const auto collected, control::decode<control::GcReport>(answer.dump()));
  for (const auto& store : collected.removed_stores) std::printf("removed %s\n", store.c_str());
  std::printf("%s freed\n", format_bytes(collected.freed_bytes).c_str());
  return {};
}

}  // namespace

void add_gc(CLI::App& app, Invocation& invocation) {
  CLI::App* verb = add_verb(app, invocation, "gc", "Delete what is cached of remotes that no workspace uses");
  const auto as_json = std::make_shared<bool>(false);
  verb->add_flag("--json", *as_json, "Print JSON");
  verb->callback([&invocation, as_json] {
    invocation.action = [&invocation, as_json] { return finish(run_gc(invocation, *as_json)); };
  });
}

}  // namespace artifactfs::cli
