// What a mount shows is the commit's tree: names, contents, modes, sizes, times, inode numbers, extended attributes.
#include <fcntl.h>
#include <sys/xattr.h>

#include <array>
#include <set>

#include "tests/harness/git_http_server.h"
#include "tests/integration/mount/mount_test.h"

namespace artifactfs::test {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFirstCommitTime = 1'700'000'060;  // as GitRepository dates it

std::vector<std::string> odd_names() {
  std::vector<std::string> names = {"with space",
                                    " leading and trailing ",
                                    "quote\"s and 'apostrophes'",
                                    "back\\slash",
                                    "new\nline",
                                    "tab\tand\x01",
                                    "\xff\xfe not utf-8",
                                    "\xc3\xbcml\xc3\xa4ut",
                                    "-dash",
                                    "*star?[x]",
                                    ":colon:",
                                    ".hidden",
                                    "...",
                                    ".gitmore",
                                    "git",
                                    "dir/\x80/\xc0q",
                                    "%2e%2e",
                                    "$HOME;`id`",
                                    "a/b/c/d/e/f/g/h"};
  for (const char c : {'x', '\xe9'}) names.push_back("long/" + std::string(255, c));
  names.push_back(std::string(200, 'd') + "/" + std::string(200, 'e') + "/" + std::string(200, 'f'));
  return names;
}

// Everything a tree can hold, small.
void write_everything(GitRepository& source) {
  for (const auto& name : odd_names()) source.write_file(name, "content of " + name);
  source.write_file("empty", "");
  source.write_file("no newline", "x");
  source.write_file("zeros", std::string(5000, '\0'));
  source.write_file("bin/tool", "#!/bin/sh\n", true);
  source.write_file("bin/empty tool", "", true);
  source.make_symlink("links/file", "../zeros");
  source.make_symlink("links/directory", "../bin");
  source.make_symlink("links/dangling", "no such thing");
  source.make_symlink("links/absolute", "/etc/hostname");
  source.make_symlink("links/odd \xff", "\xfe target");
  source.make_symlink("links/long", std::string(4000, 'l'));
  source.submodule("modules/one", std::string(40, '1'));
  for (int i = 0; i < 400; ++i) source.write_file("many/file" + std::to_string(i), std::to_string(i) + "\n");
}

TEST_F(MountTest, EqualsAPlainCheckout) {
  GitRepository source(artifactfs_ / "source");
  source.git({"config", "core.compression", "0"});
  write_everything(source);
  source.write_file("5 MB", noise(5'000'000, 1));
  source.write_file("70 MB", noise(70'000'000, 2));
  source.write_file("8 MB of text", [] {
    std::string text;
    for (int i = 0; text.size() < 8'000'000; ++i) text += "line " + std::to_string(i) + "\n";
    return text;
  }());
  source.commit("everything");
  source.bare_clone(served() / "repo.git");
  plain_checkout(served() / "repo.git", artifactfs_ / "checkout");
  const GitHttpServer server(served());
  artifactfs_.start_daemon();

  const auto over_http = artifactfs_.mount(server.url("repo.git"), "http");
  expect_same_content(artifactfs_ / "checkout", over_http);
  const auto from_path = artifactfs_.mount((served() / "repo.git").string(), "path");
  expect_same_content(artifactfs_ / "checkout", from_path);

  // The middle of a large file, as nobody reads who reads it all.
  const std::string expected = noise(70'000'000, 2);
  const auto fd = open_file(from_path / "70 MB", O_RDONLY);
  ASSERT_TRUE(fd);
  for (const uint64_t offset : {69'999'990ULL, 35'000'001ULL, 4'194'303ULL, 4'194'304ULL, 70'000'000ULL}) {
    std::array<std::byte, 9> bytes{};
    const auto read = pread_some(fd->get(), bytes, offset);
    ASSERT_TRUE(read) << read.error().text();
    EXPECT_EQ(expected.substr(offset, bytes.size()), std::string(reinterpret_cast<const char*>(bytes.data()), *read));
  }
}

TEST_F(MountTest, ModesLinksAndSizesEqualLsTree) {
  GitRepository source(artifactfs_ / "source");
  write_everything(source);
  source.commit("everything");
  source.bare_clone(served() / "repo.git");
  artifactfs_.start_daemon();
  const auto mount = artifactfs_.mount((served() / "repo.git").string());

  const auto listed = ls_tree(served() / "repo.git");
  std::vector<std::string> names;
  for (const auto& [name, entry] : listed) {
    names.push_back(name);
    const struct stat st = stat_of(mount / name);
    if (entry.mode == "040000" || entry.mode == "160000") {
      EXPECT_EQ(S_IFDIR | 0755U, st.st_mode) << name;
      if (entry.mode == "160000") {
        EXPECT_TRUE(fs::is_empty(mount / name)) << name;
      }
      continue;
    }
    const unsigned mode = entry.mode == "120000"   ? S_IFLNK | 0777
                          : entry.mode == "100755" ? S_IFREG | 0755
                                                   : S_IFREG | 0644;
    EXPECT_EQ(mode, st.st_mode) << name;
    EXPECT_EQ(entry.size_bytes, static_cast<uint64_t>(st.st_size)) << name;
    if (entry.mode == "120000") {
      EXPECT_EQ(fs::read_symlink(source.path() / name), fs::read_symlink(mount / name)) << name;
    }
  }
  EXPECT_EQ(names, names_below(mount));
}

TEST_F(MountTest, InodeNumbersSurviveARemount) {
  GitRepository source(artifactfs_ / "source");
  write_everything(source);
  source.commit("everything");
  source.bare_clone(served() / "repo.git");
  const std::string remote = (served() / "repo.git").string();
  const auto inodes_of = [](const fs::path& mount) {
    std::map<std::string, ino_t> inodes;
    for (const auto& name : names_below(mount)) inodes[name] = stat_of(mount / name).st_ino;
    return inodes;
  };

  artifactfs_.start_daemon();
  const auto mount = artifactfs_.mount(remote);
  const auto before = inodes_of(mount);
  std::set<ino_t> distinct;
  for (const auto& [name, inode] : before) distinct.insert(inode);
  EXPECT_EQ(before.size(), distinct.size());
  artifactfs_.unmount(mount);
  artifactfs_.mount(remote);
  EXPECT_EQ(before, inodes_of(mount));
  artifactfs_.stop_daemon();
  artifactfs_.start_daemon();  // which brings it back
  artifactfs_.wait_for_status(mount, [](const auto& status) { return status["phase"] == "ready"; });
  EXPECT_EQ(before, inodes_of(mount));
}

TEST_F(MountTest, TimesAreTheCommits) {
  GitRepository source(artifactfs_ / "source");
  source.write_file("dir/file", "x");
  source.make_symlink("link", "dir");
  source.commit("first");
  source.bare_clone(served() / "repo.git");
  artifactfs_.start_daemon();
  const auto mount = artifactfs_.mount((served() / "repo.git").string());
  for (const char* name : {"", "dir", "dir/file", "link", ".git"}) {
    const struct stat st = stat_of(*name == '\0' ? mount : mount / name);
    EXPECT_EQ(kFirstCommitTime, st.st_mtim.tv_sec) << name;
    EXPECT_EQ(kFirstCommitTime, st.st_ctim.tv_sec) << name;
    EXPECT_EQ(0, st.st_mtim.tv_nsec) << name;
  }
}

std::string attribute(const fs::path& path, const char* name) {
  std::array<char, 256> value{};
  const ssize_t size = ::lgetxattr(path.c_str(), name, value.data(), value.size());
  return size < 0 ? std::generic_category().message(errno) : std::string(value.data(), static_cast<size_t>(size));
}

TEST_F(MountTest, ExtendedAttributesTellOidAndState) {
  GitRepository source(artifactfs_ / "source");
  source.write_file("dir/file", "content");
  source.write_file("other", "other");
  source.commit("first");
  source.bare_clone(served() / "repo.git", {.object_info = true});
  const GitHttpServer server(served());
  artifactfs_.start_daemon();
  const auto mount = artifactfs_.mount(server.url("repo.git"), "mnt", {"--prefetch=none"});

  EXPECT_EQ(source.rev_parse("HEAD:dir/file"), attribute(mount / "dir/file", "user.artifactfs.oid"));
  EXPECT_EQ(source.rev_parse("HEAD:dir"), attribute(mount / "dir", "user.artifactfs.oid"));
  EXPECT_EQ("remote", attribute(mount / "dir/file", "user.artifactfs.state"));
  EXPECT_EQ(0, artifactfs_.status(mount)["cache"]["blobs"]);
  EXPECT_EQ("content", content_of(mount / "dir/file"));
  EXPECT_EQ("cached", attribute(mount / "dir/file", "user.artifactfs.state"));
  EXPECT_EQ("remote", attribute(mount / "other", "user.artifactfs.state"));
  EXPECT_EQ("No data available", attribute(mount / "dir/file", "user.other"));

  // Not listed where they could be copied to: `cp --preserve=xattr` would try to set them.
  std::array<char, 256> list{};
  EXPECT_EQ(0, ::llistxattr((mount / "dir/file").c_str(), list.data(), list.size()));
}

}  // namespace
}  // namespace artifactfs::test
