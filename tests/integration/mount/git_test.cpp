// Stock git inside a mount: it answers as in a shallow clone and never fetches contents behind the user's back.
#include <fmt/format.h>

#include "tests/harness/command.h"
#include "tests/harness/git_http_server.h"
#include "tests/integration/mount/mount_test.h"

namespace artifactfs::test {
namespace {

namespace fs = std::filesystem;

TEST_F(MountTest, GitAnswersAsInAShallowClone) {
  GitRepository source(artifactfs_ / "source");
  source.write_file("old", "old");
  source.commit("first");
  source.annotated_tag("v1", "one");
  source.branch("side/branch");
  source.write_file("file", "one\n");
  source.commit("second");
  source.tag("light");
  source.write_file("file", "two\n");
  source.commit("third");
  source.annotated_tag("v2", "two");
  source.bare_clone(served() / "repo.git");
  const GitHttpServer server(served());
  artifactfs_.start_daemon();
  const std::string remote = server.url("repo.git");
  const auto mount = artifactfs_.mount(remote);
  artifactfs_.wait_for_ref(mount, "refs/tags/v1");
  const auto clone = artifactfs_ / "clone";
  run({"git", "clone", "--quiet", "--depth=1", "--filter=blob:none", "--no-single-branch", remote, clone.string()},
      git_environment());

  const std::vector<std::vector<std::string>> questions = {
      {"log"},
      {"log", "--all", "--format=%H %an %ad %s", "--date-order"},
      {"log", "origin/side/branch"},
      {"show", "--stat"},
      {"show", "HEAD:file"},
      {"show", "v1"},
      {"rev-parse", "HEAD", "HEAD^{tree}", "origin/HEAD", "@{upstream}", "v1", "v1^{commit}", "HEAD:file"},
      {"rev-parse", "--is-shallow-repository", "--is-inside-work-tree", "--abbrev-ref", "HEAD"},
      {"branch", "--all"},
      {"branch", "--verbose", "--verbose"},
      {"tag"},
      {"tag", "--points-at", "HEAD"},
      {"describe", "--tags"},
      {"describe", "--exact-match"},
      {"remote", "--verbose"},
      {"remote", "show", "-n", "origin"},
      {"diff", "--stat", "v1", "HEAD"},
      {"diff", "light", "v2"},
      {"ls-tree", "-r", "-l", "HEAD"},
      {"cat-file", "-p", "HEAD"},
      {"for-each-ref", "--format=%(refname) %(objectname) %(symref) %(upstream)"},
      {"rev-list", "--all", "--count"},
      {"symbolic-ref", "HEAD"}};
  for (const auto& question : questions) {
    std::string line;
    for (const auto& word : question) line += " " + word;
    SCOPED_TRACE("git" + line);
    EXPECT_EQ(git_in(clone, question), git_in(mount, question));
  }
  EXPECT_EQ(mount.string(), git_in(mount, {"rev-parse", "--show-toplevel"}));
  EXPECT_EQ("", git_in(mount, {"rev-parse", "--show-prefix"}));
}

// A history of `commits`, with `tags` tags (every other one annotated) and `branches` branches, as a fast-import
// stream.
std::string history(int commits, int tags, int branches) {
  std::string stream;
  for (int i = 1; i <= commits; ++i) {
    const std::string content = fmt::format("content {}\n", i);
    stream += fmt::format("commit refs/heads/main\nmark :{}\ncommitter T <t@example.com> {} +0000\ndata 2\nc\n", i,
                          1'700'000'000 + i);
    stream += fmt::format("M 100644 inline d{}/f{}\ndata {}\n{}\n", i % 10, i, content.size(), content);
  }
  for (int i = 0; i < tags; ++i) {
    const int commit = 1 + i % (commits - 1);  // none at the head
    if (i % 2 == 0) {
      stream += fmt::format("reset refs/tags/light{:04}\nfrom :{}\n\n", i, commit);
    } else {
      stream += fmt::format("tag note{:04}\nfrom :{}\ntagger T <t@example.com> {} +0000\ndata 2\nt\n", i, commit,
                            1'700'000'000 + i);
    }
  }
  for (int i = 0; i < branches; ++i) {
    stream += fmt::format("reset refs/heads/topic/{:04}\nfrom :{}\n\n", i, 1 + i % commits);
  }
  return stream;
}

size_t requests_of_git(const GitHttpServer& server) {
  size_t count = 0;
  for (const auto& request : server.access_log()) count += request.user_agent.starts_with("git/") ? 1 : 0;
  return count;
}

TEST_F(MountTest, GitMakesNoLazyFetchWithThousandsOfRefs) {
  GitRepository source(artifactfs_ / "source");
  source.git({"fast-import", "--quiet"}, history(600, 2400, 1000));
  source.git({"reset", "--quiet", "--hard", "main"});
  source.annotated_tag("v9", "at the head");
  source.tag("a-blob", "HEAD~50:d1/f1");
  source.annotated_tag("an-annotated-blob", "blob", "HEAD~50:d2/f2");
  source.tag("a-tree", "HEAD~60^{tree}");
  source.tag("zzz-last", "HEAD~30");
  source.bare_clone(served() / "repo.git");
  const GitHttpServer server(served());
  artifactfs_.start_daemon();
  const auto mount = artifactfs_.mount(server.url("repo.git"), "mnt", {"--prefetch=none"});
  artifactfs_.wait_for_ref(mount, "refs/tags/zzz-last");
  const size_t before = requests_of_git(server);
  const uint64_t ours = artifactfs_.status(mount)["requests"].get<uint64_t>();

  const auto trace = artifactfs_ / "trace";
  Environment environment = git_environment();
  set_environment_value(environment, "GIT_TRACE2_EVENT", trace.string());
  const auto git = [&](const std::vector<std::string>& arguments) {
    std::vector<std::string> argv = {"git", "-C", mount.string()};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return run(argv, environment);
  };
  const auto expect_no_lazy_fetch = [&](const char* what) {
    const std::string events = read_file(trace).value_or("");
    EXPECT_NE(std::string::npos, events.find("\"event\":\"exit\"")) << what;
    // How promisor_remote_get_direct() asks (promisor-remote.c).
    EXPECT_EQ(std::string::npos, events.find("fetch.negotiationAlgorithm=noop")) << what;
    fs::remove(trace);
  };
  const auto lines = [](const std::string& text) { return std::ranges::count(text, '\n'); };

  EXPECT_EQ(3407, lines(git({"for-each-ref"})));  // 2,404 tags, 1,001 branches, HEAD's own and origin/HEAD
  EXPECT_EQ(600, lines(git({"log", "--all", "--format=%H"})));
  expect_no_lazy_fetch("log --all");
  EXPECT_EQ("v9\n", git({"describe", "--tags"}));
  expect_no_lazy_fetch("describe");
  git({"log", "--oneline", "-5"});
  git({"branch", "--all"});
  git({"tag", "--list"});
  git({"status", "--short", "--branch", "--untracked-files=no", "--porcelain=v2"});
  expect_no_lazy_fetch("the rest");
  git({"fsck", "--no-progress", "--connectivity-only"});
  expect_no_lazy_fetch("fsck --connectivity-only");
  EXPECT_EQ(before, requests_of_git(server)) << "git asked the server";
  git({"fetch", "--quiet"});
  expect_no_lazy_fetch("fetch");
  git({"fetch", "--quiet", "--tags"});
  expect_no_lazy_fetch("fetch --tags");
  for (const auto& request : server.access_log()) {
    if (request.user_agent.starts_with("git/")) {
      EXPECT_LT(request.bytes_sent, 600'000u) << request.target;
    }
  }
  EXPECT_EQ(ours, artifactfs_.status(mount)["requests"].get<uint64_t>());
  EXPECT_EQ(0, artifactfs_.status(mount)["cache"]["blobs"]);

  // A full fsck hashes every object that exists for git, the base's blobs included: they come in batches.
  git({"fsck", "--no-progress"});
  expect_no_lazy_fetch("fsck");
  EXPECT_EQ(600, artifactfs_.status(mount)["cache"]["blobs"]);
  EXPECT_LT(artifactfs_.status(mount)["requests"].get<uint64_t>(), ours + 60);
}

}  // namespace
}  // namespace artifactfs::test
