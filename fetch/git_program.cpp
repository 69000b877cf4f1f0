#include "fetch/git_program.h"

#include <charconv>
#include <map>
#include <sstream>

#include "base/base64.h"
#include "base/log.h"

namespace artifactfs {

namespace {
constexpr auto kGitTimeout =
    std::chrono::hours(1);  // a whole download; the user can cancel by ending the mount command

constexpr size_t kSha256HexDigits = 64;

std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const size_t newline = text.rfind('\n');
  return newline == std::string::npos ? text : text.substr(newline + 1);
}
}  // namespace

Result<std::string> GitProgram::run(std::vector<std::string> arguments) {
  SubprocessOptions options;
  options.argv = {"git", "--git-dir=" + git_directory_.string(),
                  "-c",  "safe.directory=*",
                  "-c",  "gc.auto=0",
                  "-c",  "maintenance.auto=false"};
  options.argv.insert(options.argv.end(), std::make_move_iterator(arguments.begin()),
                      std::make_move_iterator(arguments.end()));
  options.environment = context_.environment;
  options.working_directory = context_.working_directory;
  set_environment_value(options.environment, "GIT_TERMINAL_PROMPT", "0");
  set_environment_value(options.environment, "GIT_NO_LAZY_FETCH", "1");
  if (remote_.credentials) {
    // In the environment of this one child: not on a command line, which anyone may read, nor in a file.
    const std::string pair = remote_.credentials->username + ":" + remote_.credentials->password.value_or("");
    // The user's own GIT_CONFIG_* stay.
    const std::string count = environment_value(options.environment, "GIT_CONFIG_COUNT").value_or("0");
    unsigned index = 0;
    std::from_chars(count.data(), count.data() + count.size(), index);
    const std::string number = std::to_string(index);
    set_environment_value(options.environment, "GIT_CONFIG_COUNT", std::to_string(index + 1));
    set_environment_value(options.environment, "GIT_CONFIG_KEY_" + number,
                          "http." + remote_.display() + ".extraHeader");
    set_environment_value(options.environment, "GIT_CONFIG_VALUE_" + number,
                          "Authorization: Basic " + base64_encode(pair));
  }
  TRY_ASSIGN(auto output, run_subprocess(std::move(options), {}, Clock::system().now() + kGitTimeout));
  if (output.status != 0) {
    return fail(ErrorCode::unavailable, "cannot fetch from '" + remote_.display() + "'",
                log::redact(last_line(output.err)));
  }
  return std::move(output.out);
}

Result<std::vector<RemoteRef>> GitProgram::ls_refs() {
  TRY_ASSIGN(const std::string text, run({"ls-remote", "--symref", "--", remote_.display()}));
  std::map<std::string, RemoteRef> refs;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t tab = line.find('\t');
    if (tab == std::string::npos) continue;
    std::string name = line.substr(tab + 1);
    if (line.starts_with("ref: ")) {
      refs[name].symbolic_target = line.substr(5, tab - 5);
      continue;
    }
    const auto oid = ObjectId::from_hex(line.substr(0, tab));
    if (!oid) {
      const bool is_sha256 = tab == kSha256HexDigits;
      return fail(ErrorCode::not_supported, "cannot use '" + remote_.display() + "'",
                  is_sha256 ? "it uses SHA-256 object names" : "its object names are not SHA-1");
    }
    if (name.ends_with("^{}")) {
      refs[name.substr(0, name.size() - 3)].peeled = *oid;
    } else {
      refs[name].oid = *oid;
    }
  }
  std::vector<RemoteRef> out;
  for (auto& [name, ref] : refs) {
    if (name != "HEAD" && !name.starts_with("refs/heads/") && !name.starts_with("refs/tags/")) continue;
    ref.name = name;
    out.push_back(std::move(ref));
  }
  return out;
}

Result<void> GitProgram::fetch(const std::string& ref) {
  const std::string refspec = "+" + ref + ":refs/artifactfs/fetched";
  auto shallow = run({"fetch", "--quiet", "--no-tags", "--depth=1", "--", remote_.display(), refspec});
  if (shallow) return {};
  // A dumb server cannot cut the history.
  TRY(run({"fetch", "--quiet", "--no-tags", "--", remote_.display(), refspec}));
  return {};
}

}  // namespace artifactfs
