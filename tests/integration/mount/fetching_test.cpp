// When a mount fetches, what it does not, and what it does without its server.
#include <cerrno>
#include <fstream>
#include <ranges>

#include "tests/harness/command.h"
#include "tests/harness/delay_proxy.h"
#include "tests/harness/git_http_server.h"
#include "tests/integration/mount/mount_test.h"

namespace artifactfs::test {
namespace {

namespace fs = std::filesystem;

uint64_t cached_blobs(const nlohmann::json& status) { return status["cache"]["blobs"].get<uint64_t>(); }

std::string url_through(const DelayProxy& proxy, const std::string& repository) {
  return "http://127.0.0.1:" + std::to_string(proxy.port()) + "/" + repository;
}

TEST_F(MountTest, OnlyReadsFetchWhereTheServerTellsSizes) {
  GitRepository source(artifactfs_ / "source");
  for (int i = 0; i < 300; ++i) {
    source.write_file("d" + std::to_string(i % 7) + "/f" + std::to_string(i), std::string(static_cast<size_t>(i), 'x'));
  }
  source.write_file("package.json", "{}");
  source.make_symlink("links/one", "../package.json");
  source.commit("first");
  source.bare_clone(served() / "repo.git", {.object_info = true});
  const GitHttpServer server(served());
  artifactfs_.start_daemon();
  const auto mount = artifactfs_.mount(server.url("repo.git"), "mnt", {"--prefetch=none"});

  for (const char* command :
       {"ls -lR --ignore=links .", "find .", "find . -type f -size +0 -printf '%s %p\\n'", "du -sb .",
        "stat d1/f1 d2/f2 links", "git ls-files", "test -L links/one", "test ! -e no/such/file"}) {
    run({"sh", "-c", std::string("cd \"$0\" && ") + command, mount.string()}, git_environment());
    EXPECT_EQ(0u, cached_blobs(artifactfs_.status(mount))) << command;
  }
  for (const auto& [name, entry] : ls_tree(served() / "repo.git")) {
    if (entry.mode == "100644") {
      EXPECT_EQ(entry.size_bytes, static_cast<uint64_t>(stat_of(mount / name).st_size));
    }
  }
  EXPECT_EQ(0u, cached_blobs(artifactfs_.status(mount)));
  EXPECT_EQ(std::string(123, 'x'), content_of(mount / "d4/f123"));
  EXPECT_EQ(1u, cached_blobs(artifactfs_.status(mount)));
  EXPECT_EQ("../package.json", fs::read_symlink(mount / "links/one"));
  EXPECT_EQ(2u, cached_blobs(artifactfs_.status(mount)));
}

TEST_F(MountTest, SizesAreRightWithoutObjectInfo) {
  GitRepository source(artifactfs_ / "source");
  for (int i = 0; i < 300; ++i) source.write_file("d/f" + std::to_string(i), noise(static_cast<uint64_t>(i * 37), 1));
  source.write_file("large", noise(3'000'000, 2));
  source.commit("first");
  source.bare_clone(served() / "repo.git", {.object_info = false});
  const GitHttpServer server(served());
  artifactfs_.start_daemon();
  const auto mount = artifactfs_.mount(server.url("repo.git"), "mnt", {"--prefetch=none"});
  const auto listed = ls_tree(served() / "repo.git");
  // Listed first, so that the kernel has had placeholders for all of them.
  EXPECT_EQ(listed.size(), names_below(mount).size());
  for (const auto& [name, entry] : listed) {
    if (entry.mode == "100644") {
      EXPECT_EQ(entry.size_bytes, static_cast<uint64_t>(stat_of(mount / name).st_size)) << name;
    }
  }
  for (const auto& [name, entry] : listed) {
    if (entry.mode == "100644") {
      EXPECT_EQ(entry.size_bytes, content_of(mount / name).size()) << name;
    }
  }
}

// Inverts a byte every 512, beyond the first `spare` bytes.
void damage(const fs::path& file, std::streamoff spare) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  const auto size = static_cast<std::streamoff>(fs::file_size(file));
  for (std::streamoff at = spare; at < size; at += 512) {
    stream.seekg(at);
    const int byte = stream.get();
    stream.seekp(at);
    stream.put(static_cast<char>(~byte));
  }
  ASSERT_TRUE(stream.flush());
}

TEST_F(MountTest, DamagedCacheIsFetchedAgain) {
  GitRepository source(artifactfs_ / "source");
  for (int i = 0; i < 12; ++i) source.write_file("small" + std::to_string(i), noise(3000, static_cast<uint64_t>(i)));
  source.write_file("large", noise(3'000'000, 99));
  source.commit("first");
  source.bare_clone(served() / "repo.git");
  plain_checkout(served() / "repo.git", artifactfs_ / "checkout");
  const GitHttpServer server(served());
  const auto mount = artifactfs_ / "mnt";

  // Each time all has been read, something on disk goes bad while nobody looks.
  const auto store = [this] { return artifactfs_.state() / "stores" / artifactfs_.state_entries("stores").at(0); };
  const std::vector<std::pair<std::string, std::function<void()>>> mishaps = {
      {"nothing", [] {}},
      {"contents",
       [&] {
         size_t segments = 0;
         for (const auto& entry : fs::recursive_directory_iterator(store() / "blobs")) {
           if (entry.path().extension() != ".seg") continue;
           damage(entry.path(), 100);
           ++segments;
         }
         EXPECT_GT(segments, 0u);
       }},
      {"segment headers",
       [&] {
         for (const auto& entry : fs::recursive_directory_iterator(store() / "blobs")) {
           if (entry.path().extension() == ".seg") damage(entry.path(), 0);
         }
       }},
      {"the blobs' database", [&] { damage(store() / "blobs/blobs.db", 0); }},
      {"the blobs", [&] { fs::remove_all(store() / "blobs"); }},
      {"the index", [&] { damage(store() / "index.db", 0); }},
      {"the index altogether", [&] { fs::remove(store() / "index.db"); }},
  };
  for (const auto& [what, mishap] : mishaps) {
    SCOPED_TRACE(what);
    if (artifactfs_.state_entries("stores").size() == 1) mishap();
    artifactfs_.start_daemon();
    artifactfs_.mount(server.url("repo.git"));
    expect_same_content(artifactfs_ / "checkout", mount);
    artifactfs_.unmount(mount);
    artifactfs_.stop_daemon();
  }
}

// Under a timeout this short a busy machine may need several reads.
bool eventually_reads(const fs::path& file, const std::string& content) {
  return eventually([&] { return read_error(file) == 0; }) && content_of(file) == content;
}

TEST_F(MountTest, FetchTimeoutIsAnInputOutputErrorAndTheNextReadTriesAgain) {
  GitRepository source(artifactfs_ / "source");
  source.write_file("read before", "one");
  source.write_file("small", "small");
  source.write_file("large", noise(3'000'000, 1));
  source.write_file("unsized", "unsized");
  source.commit("first");
  source.bare_clone(served() / "sized.git", {.object_info = true});
  source.bare_clone(served() / "unsized.git", {.object_info = false});
  const GitHttpServer server(served());
  artifactfs_.start_daemon();
  for (const std::string name : {"sized", "unsized"}) {
    SCOPED_TRACE(name);
    std::error_code ignored;
    DelayProxy proxy("127.0.0.1", server.port());
    const auto mount =
        artifactfs_.mount(url_through(proxy, name + ".git"), name, {"--prefetch=none", "--fetch-timeout=400ms"});
    EXPECT_TRUE(eventually_reads(mount / "read before", "one"));
    if (name == "sized") {
      EXPECT_TRUE(eventually([&] { return fs::file_size(mount / "large", ignored) == 3'000'000; }));
    }
    proxy.set_hang(true);
    EXPECT_EQ(EIO, read_error(mount / "small"));
    EXPECT_EQ(EIO, read_error(mount / "large"));
    EXPECT_EQ("one", content_of(mount / "read before"));
    proxy.set_hang(false);
    EXPECT_TRUE(eventually_reads(mount / "small", "small"));
    EXPECT_TRUE(eventually_reads(mount / "large", noise(3'000'000, 1)));
    proxy.set_refuse(true);
    proxy.drop_connections();
    EXPECT_EQ(EIO, read_error(mount / "unsized"));
    proxy.set_refuse(false);
    EXPECT_TRUE(eventually_reads(mount / "unsized", "unsized"));
  }
}

TEST_F(MountTest, CachedFilesNeedNoServer) {
  GitRepository source(artifactfs_ / "source");
  source.write_file("dir/small", "small");
  source.write_file("dir/large", noise(3'000'000, 1));
  source.write_file("never read", "x");
  source.commit("first");
  source.bare_clone(served() / "repo.git", {.object_info = true});
  const GitHttpServer server(served());
  DelayProxy proxy("127.0.0.1", server.port());
  const std::string remote = url_through(proxy, "repo.git");
  artifactfs_.start_daemon();
  const auto mount = artifactfs_.mount(remote, "mnt", {"--prefetch=none"});
  (void)content_of(mount / "dir/small");
  (void)content_of(mount / "dir/large");
  proxy.set_refuse(true);
  proxy.drop_connections();

  artifactfs_.unmount(mount);  // and with it what the kernel cached
  artifactfs_.mount(remote, "mnt", {"--prefetch=none", "--fetch-timeout=300ms"});
  EXPECT_EQ("small", content_of(mount / "dir/small"));
  EXPECT_EQ(noise(3'000'000, 1), content_of(mount / "dir/large"));
  EXPECT_EQ(EIO, read_error(mount / "never read"));
  EXPECT_EQ("offline", artifactfs_.status(mount)["phase"]);

  artifactfs_.stop_daemon();
  artifactfs_.start_daemon();  // brings it back without the server
  artifactfs_.wait_for_status(mount, [](const auto& status) { return status["phase"] != "mounting"; });
  EXPECT_EQ("small", content_of(mount / "dir/small"));
  EXPECT_EQ(source.rev_parse("HEAD"), git_in(mount, {"rev-parse", "HEAD"}));
}

TEST_F(MountTest, SecondMountFetchesOnlyRefs) {
  GitRepository source(artifactfs_ / "source");
  for (int i = 0; i < 100; ++i) source.write_file("d/f" + std::to_string(i), noise(1000, static_cast<uint64_t>(i)));
  source.commit("first");
  source.branch("other");
  source.annotated_tag("v1", "one");
  source.write_file("new", "new");
  source.commit("second");
  source.bare_clone(served() / "repo.git", {.object_info = true});
  plain_checkout(served() / "repo.git", artifactfs_ / "checkout");
  const GitHttpServer server(served());
  artifactfs_.start_daemon();
  const auto first = artifactfs_.mount(server.url("repo.git"), "first");
  expect_same_content(artifactfs_ / "checkout", first);
  artifactfs_.wait_for_ref(first, "refs/remotes/origin/other");
  const uint64_t blobs = cached_blobs(artifactfs_.status(first));
  artifactfs_.unmount(first);
  artifactfs_.stop_daemon();

  const size_t before = server.wait_for_requests(1).size();
  artifactfs_.start_daemon();
  const auto second = artifactfs_.mount(server.url("repo.git"), "second");
  expect_same_content(artifactfs_ / "checkout", second);
  artifactfs_.wait_for_ref(second, "refs/remotes/origin/other");
  EXPECT_EQ("v1", git_in(second, {"tag"}));
  EXPECT_EQ(blobs, cached_blobs(artifactfs_.status(second)));
  auto requests = server.wait_for_requests(before + 1);
  ASSERT_EQ(before + 1, requests.size());
  EXPECT_EQ("POST", requests.back().method);
  EXPECT_LT(requests.back().bytes_sent, 2000u);

  artifactfs_.mount(server.url("repo.git"), "first");  // a kept workspace
  expect_same_content(artifactfs_ / "checkout", first);
  for (const auto& request : server.access_log() | std::views::drop(before + 1)) {
    EXPECT_LT(request.bytes_sent, 2000u) << request.method << " " << request.target;
  }
}

}  // namespace
}  // namespace artifactfs::test
