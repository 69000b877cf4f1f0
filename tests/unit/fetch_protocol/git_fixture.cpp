#include "git_fixture.h"

#include <stdlib.h>

#include <chrono>
#include <fstream>
#include <stdexcept>

#include "base/clock.h"

namespace artifactfs::testing {

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "artifactfs-protocol-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Environment GitFixture::environment() {
  Environment environment = without_git_variables(current_environment());
  set_environment_value(environment, "GIT_CONFIG_GLOBAL", "/dev/null");
  set_environment_value(environment, "GIT_CONFIG_NOSYSTEM", "1");
  for (const char* who : {"AUTHOR", "COMMITTER"}) {
    set_environment_value(environment, std::string("GIT_") + who + "_NAME", "A U Thor");
    set_environment_value(environment, std::string("GIT_") + who + "_EMAIL", "author@example.com");
    set_environment_value(environment, std::string("GIT_") + who + "_DATE", "1700000000 +0000");
  }
  return environment;
}

GitFixture::GitFixture(const std::vector<std::string>& init_options) {
  std::filesystem::create_directory(directory());
  std::vector<std::string> arguments{"init", "-q", "-b", "main"};
  arguments.insert(arguments.end(), init_options.begin(), init_options.end());
  git(arguments);
}

std::string GitFixture::git(std::vector<std::string> arguments, std::string_view input, bool raw) const {
  SubprocessOptions options;
  options.argv = std::move(arguments);
  options.argv.insert(options.argv.begin(), "git");
  options.environment = environment();
  options.working_directory = directory().string();
  const auto output = run_subprocess(options, input, Clock::system().now() + std::chrono::seconds(60));
  if (!output) throw std::runtime_error(output.error().text());
  if (output->status != 0) throw std::runtime_error("git " + options.argv.at(1) + " failed: " + output->err);
  std::string out = output->out;
  if (!raw && out.ends_with('\n')) out.pop_back();
  return out;
}

void GitFixture::write(const std::string& name, std::string_view content) const {
  const auto path = directory() / name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

std::string GitFixture::commit(const std::string& message) const {
  git({"add", "-A"});
  git({"commit", "-q", "--allow-empty", "-m", message});
  return git({"rev-parse", "HEAD"});
}

void GitFixture::fill(int commits) const {
  std::string text;
  for (int line = 0; line < 120; ++line) text += "line " + std::to_string(line * 7919) + " of the first version\n";
  for (int i = 0; i < commits; ++i) {
    text.insert(static_cast<size_t>(i * 37) % text.size(), "changed by commit " + std::to_string(i) + "\n");
    write("file.txt", text);
    write("dir/copy.txt", text + "and a different end\n");
    write("dir/sub/small" + std::to_string(i % 5), "small " + std::to_string(i) + "\n");
    write("empty", "");
    commit("commit " + std::to_string(i));
  }
  git({"tag", "-a", "-m", "a tag", "v1"});
}

}  // namespace artifactfs::testing
