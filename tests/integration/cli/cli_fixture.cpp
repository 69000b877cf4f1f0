#include "tests/integration/cli/cli_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>

#include <functional>
#include <sstream>
#include <thread>

#include "base/unique_fd.h"

namespace artifactfs::test {

namespace {

namespace fs = std::filesystem;

constexpr auto kTimeout = std::chrono::seconds(60);

std::vector<std::string> mounts_below(const fs::path& base) {
  std::vector<std::string> found;
  std::istringstream lines(read_file("/proc/self/mounts").value_or(""));
  for (std::string source, point, rest; lines >> source >> point && std::getline(lines, rest);) {
    if (point.starts_with(base.string())) found.push_back(point);
  }
  return found;
}

}  // namespace

bool is_mounted(const std::string& directory) { return !mounts_below(directory).empty(); }

CliTest::CliTest()
    : base_(fs::canonical(temporary_.path())), environment_(git_environment()), repository_(base_ / "source") {
  set_environment_value(environment_, "ARTIFACTFS_STATE_DIR", (base_ / "state").string());
  repository_.write_file("hello", "hello\n");
  repository_.write_file("directory/file", "content\n");
  repository_.commit("one");
  repository_.branch("topic");
  repository_.git({"config", "uploadpack.allowFilter", "true"});
  repository_.git({"config", "uploadpack.allowAnySHA1InWant", "true"});
}

CliTest::~CliTest() {
  if (const pid_t daemon = daemon_pid(); daemon > 0) {
    ::kill(daemon, SIGTERM);
    wait_until([daemon] { return ::kill(daemon, 0) != 0; });
  }
  for (const auto& point : mounts_below(base_)) ::umount2(point.c_str(), MNT_DETACH);
}

SubprocessOutput CliTest::cli(const std::vector<std::string>& arguments) {
  SubprocessOptions options;
  options.argv = {ARTIFACTFS_PROGRAM};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.environment = environment_;
  options.working_directory = base_.string();
  auto output = run_subprocess(std::move(options), "", Clock::system().now() + kTimeout);
  if (!output) throw std::runtime_error(output.error().text());
  return std::move(*output);
}

Subprocess CliTest::start(const std::vector<std::string>& arguments) {
  SubprocessOptions options;
  options.argv = {"sh", "-c", "exec \"$0\" \"$@\" 2>>background.log", ARTIFACTFS_PROGRAM};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.environment = environment_;
  options.working_directory = base_.string();
  auto child = Subprocess::start(options);
  if (!child) throw std::runtime_error(child.error().text());
  return std::move(*child);
}

std::string CliTest::directory(const std::string& name) {
  fs::create_directories(base_ / name);
  return (base_ / name).string();
}

nlohmann::json CliTest::status() { return nlohmann::json::parse(cli({"status", "--json"}).out); }

pid_t CliTest::daemon_pid() {
  const auto json = nlohmann::json::parse(cli({"status", "--json"}).out, nullptr, false);
  if (!json.is_object() || json["daemon"].is_null()) return 0;
  return json["daemon"]["pid"].get<pid_t>();
}

std::string CliTest::phase(const std::string& directory) {
  const auto json = status();
  for (const auto& mount : json["mounts"]) {
    if (mount["dir"] == directory) return mount["phase"];
  }
  return "";
}

bool CliTest::wait_until(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

void CliTest::expect_no_mounts() { EXPECT_TRUE(mounts_below(base_).empty()); }

void CliTest::expect_empty_state() {
  expect_no_mounts();
  for (const char* part : {"state/stores", "state/mounts"}) {
    std::error_code error;
    EXPECT_TRUE(!fs::exists(base_ / part, error) || fs::is_empty(base_ / part, error)) << part;
  }
}

}  // namespace artifactfs::test
