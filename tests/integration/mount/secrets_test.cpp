// Credentials reach the server and nothing else.
#include <fmt/format.h>

#include <fstream>

#include "base/base64.h"
#include "tests/harness/command.h"
#include "tests/harness/git_http_server.h"
#include "tests/integration/mount/mount_test.h"

namespace artifactfs::test {
namespace {

namespace fs = std::filesystem;

// Every form in which a test's secret could be written down.
class Secret {
 public:
  explicit Secret(const HttpServerOptions& server)
      : forms_{server.password, "s3cret%26word", "s3cret", base64_encode(server.user + ":" + server.password)} {}

  void expect_absent(std::string_view text, const std::string& where) const {
    for (const auto& form : forms_) EXPECT_EQ(std::string::npos, text.find(form)) << where << " has " << form;
  }

  void expect_absent_below(const fs::path& directory) const {
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
      if (entry.is_regular_file()) expect_absent(content_of(entry.path()), entry.path());
    }
  }

 private:
  std::vector<std::string> forms_;
};

// A `git` first in PATH that writes down what anybody could see with ps, but for the command that the user typed.
void record_git_children(ArtifactfsRunner& artifactfs) {
  const auto bin = artifactfs / "bin";
  fs::create_directories(bin);
  std::string real = run({"sh", "-c", "command -v git"});
  real.pop_back();
  std::ofstream(bin / "git") << fmt::format(
      "#!/bin/sh\n{{ echo \"$@\"; ps -ef | grep -v ' mount '; }} >>{}\nexec {} \"$@\"\n", (artifactfs / "ps").string(),
      real);
  fs::permissions(bin / "git", fs::perms::owner_all);
  auto& environment = artifactfs.environment();
  set_environment_value(environment, "PATH", bin.string() + ":" + environment_value(environment, "PATH").value());
}

void expect_no_trace(const ArtifactfsRunner& artifactfs, const Secret& secret, const fs::path& mount) {
  secret.expect_absent_below(artifactfs.state());
  secret.expect_absent(artifactfs.log(), "the log");
  secret.expect_absent(read_file(artifactfs / "ps").value_or(""), "a child's command line");
  secret.expect_absent(artifactfs.must_run({"status", "--json"}), "status --json");
  secret.expect_absent(artifactfs.must_run({"status", mount.string()}), "status");
  secret.expect_absent(artifactfs.must_run({"list"}), "list");
  secret.expect_absent(content_of("/proc/self/mountinfo"), "mountinfo");
  secret.expect_absent(content_of(mount / ".git"), ".git");
  secret.expect_absent(git_in(mount, {"config", "--list"}), "git config");
  secret.expect_absent(git_in(mount, {"remote", "--verbose"}), "git remote");
  const std::string pid = std::to_string(artifactfs.daemon_pid());
  secret.expect_absent(content_of("/proc/" + pid + "/cmdline"), "the daemon's command line");
  secret.expect_absent(content_of("/proc/" + pid + "/environ"), "the daemon's environment");
}

TEST_F(MountTest, CredentialsAppearNowhere) {
  GitRepository source(artifactfs_ / "source");
  for (int i = 0; i < 20; ++i) source.write_file("f" + std::to_string(i), noise(2000, static_cast<uint64_t>(i)));
  source.commit("first");
  source.tag("other");
  source.bare_clone(served() / "repo.git");
  source.bare_clone(served() / "plain.git", {.allow_filter = false});  // which the git program fetches
  const GitHttpServer server(served());
  const Secret secret(server.options());
  record_git_children(artifactfs_);
  const auto gitconfig = artifactfs_.home() / ".gitconfig";
  const auto url = [&](std::string_view user_info, std::string_view repository) {
    return fmt::format("http://{}127.0.0.1:{}/auth/{}.git", user_info, server.port(), repository);
  };
  const auto expect_secret_mount = [&](const std::string& remote, const std::string& name) {
    SCOPED_TRACE(name);
    const auto mount = artifactfs_.mount(remote, name, {"--log-level", "trace"});
    EXPECT_EQ(noise(2000, 7), content_of(mount / "f7"));
    expect_no_trace(artifactfs_, secret, mount);
  };

  expect_secret_mount(url("alice:s3cret%26word@", "repo"), "in the URL");
  expect_secret_mount(url("alice:s3cret%26word@", "plain"), "in the URL, for the git program");

  const auto helper = artifactfs_ / "helper";
  std::ofstream(helper)
      << "#!/bin/sh\ntest \"$1\" = get && printf 'username=alice\\npassword=s3cret&word\\n'\nexit 0\n";
  fs::permissions(helper, fs::perms::owner_all);
  std::ofstream(gitconfig) << "[credential]\n\thelper = " << helper.string() << "\n";
  expect_secret_mount(url("", "repo"), "from a credential helper");
  expect_secret_mount(url("", "plain"), "from a credential helper, for the git program");

  std::ofstream(gitconfig) << "[http]\n\textraHeader = Authorization: Basic "
                           << base64_encode(server.options().user + ":" + server.options().password) << "\n";
  expect_secret_mount(url("carol@", "repo"), "in a header");

  // A refused one must not come back in the complaint.
  fs::remove(gitconfig);
  const auto target = artifactfs_ / "target";
  fs::create_directories(target);
  for (const char* repository : {"repo", "plain", "missing"}) {
    const auto output = artifactfs_.run({"mount", url("bob:s3cret%26word@", repository), target.string()});
    EXPECT_EQ(1, output.status);
    secret.expect_absent(output.err, "the error");
  }
  expect_no_trace(artifactfs_, secret, artifactfs_ / "in a header");
}

}  // namespace
}  // namespace artifactfs::test
