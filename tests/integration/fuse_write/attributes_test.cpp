// Attributes: modes, owners, times and extended attributes, in a mount as on ext4.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "tests/integration/fuse_write/side_by_side.h"

namespace artifactfs::test {
namespace {

class AttributesTest : public SideBySide {};

TEST_F(AttributesTest, ChmodAndChown) {
  skip_unless_root();
  same([](const std::string& root) {
    Text text;
    for (const char* name : {"c", "a", "a/c", "b/c", ".", "new"}) {
      if (name == std::string("new")) open_at(root + name, O_CREAT | O_WRONLY);
      const auto around = [&](const std::function<void()>& change) {
        text << times_around(root + name, change) << " ";
        text << look(root + name, false) << "\n";
      };
      around([&] { text << said(::chmod((root + name).c_str(), 04751)); });
      around([&] { text << said(::lchown((root + name).c_str(), 77, 88)); });
      around([&] { text << said(::chmod((root + name).c_str(), 02640)); });
      around([&] { text << said(::lchown((root + name).c_str(), static_cast<uid_t>(-1), 99)); });
      around([&] { text << said(::chmod((root + name).c_str(), 02750)); });
      around([&] { text << said(::lchown((root + name).c_str(), static_cast<uid_t>(-1), 98)); });
    }
    return text.string();
  });
  EXPECT_EQ(content(plain() + "c"), content(root() + "c"));
}

TEST_F(AttributesTest, UnprivilegedWritersClearPrivileges) {
  skip_unless_root();
  same([](const std::string& root) {
    Text text;
    const std::array<std::function<std::string(const std::string&)>, 5> changes = {
        [](const std::string& path) { return said(::write(open_at(path, O_WRONLY).get(), "x", 1)); },
        [](const std::string& path) { return said(::truncate(path.c_str(), 1)); },
        [](const std::string& path) { return said(open_at(path, O_WRONLY | O_TRUNC) ? 0 : -1); },
        [](const std::string& path) { return said(::fallocate(open_at(path, O_WRONLY).get(), 0, 0, 100)); },
        [](const std::string& path) { return said(::read(open_at(path, O_RDONLY).get(), nullptr, 0)); }};
    for (const std::optional<uid_t> user : {std::optional<uid_t>(), std::optional<uid_t>(65534)}) {
      for (const mode_t mode : {06777u, 04766u}) {
        for (size_t i = 0; i < changes.size(); ++i) {
          const std::string path = fmt::format("{}file-{}-{:o}-{}", root, user ? "user" : "root", mode, i);
          {
            const UniqueFd fd = open_at(path, O_CREAT | O_WRONLY);
            (void)!::write(fd.get(), "content", 7);
          }
          ::chmod(path.c_str(), mode);
          look(path);  // cached
          const std::string done = in_child([&] { return changes[i](path); }, user);
          text << fmt::format("{} {:o} {}: {} {}\n", i, mode, user ? "user" : "root", done,
                              look(path, false).substr(0, 6));
        }
      }
    }
    return text.string();
  });
}

TEST_F(AttributesTest, UnprivilegedCopiesClearPrivileges) {
  skip_unless_root();
  same([](const std::string& root) {
    open_at(root + "target", O_CREAT | O_WRONLY);
    ::chmod((root + "target").c_str(), 06777);
    Text text;
    text << in_child(
        [&] {
          return said(::copy_file_range(open_at(root + "d", O_RDONLY).get(), nullptr,
                                        open_at(root + "target", O_WRONLY).get(), nullptr, 10, 0));
        },
        65534);
    return (text << look(root + "target", false)).string();
  });
}

TEST_F(AttributesTest, UnprivilegedOwnersMayWhatTheyMayElsewhere) {
  skip_unless_root();
  same([](const std::string& root) {
    ::chmod(root.c_str(), 0777);
    Text text;
    text << in_child(
        [&] {
          open_at(root + "own", O_CREAT | O_WRONLY);
          Text said_by_child;
          said_by_child << said(::chmod((root + "own").c_str(), 06755)) << look(root + "own");
          said_by_child << said(::chown((root + "own").c_str(), 1, 1))
                        << said(::chown((root + "own").c_str(), 65534, 65534));
          said_by_child << look(root + "own") << said(::utimensat(AT_FDCWD, (root + "c").c_str(), nullptr, 0));
          const std::array<timespec, 2> times = {timespec{1, 0}, {2, 0}};
          return (said_by_child << said(::utimensat(AT_FDCWD, (root + "own").c_str(), times.data(), 0))
                                << said(::utimensat(AT_FDCWD, (root + "c").c_str(), times.data(), 0)))
              .string();
        },
        65534);
    return (text << look(root + "own")).string();
  });
}

TEST_F(AttributesTest, TimesAreSetToTheNanosecond) {
  same([](const std::string& root) {
    Text text;
    open_at(root + "new", O_CREAT | O_WRONLY);
    for (const char* name : {"c", "a", "b/c", "new", "a/a/b"}) {
      const std::string path = root + name;
      const auto show = [&] {
        struct stat st {};
        ::lstat(path.c_str(), &st);
        text << fmt::format("{}.{} {}.{}\n", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec,
                            st.st_mtim.tv_nsec);
      };
      const auto set = [&](const timespec& atime, const timespec& mtime) {
        const std::array<timespec, 2> times = {atime, mtime};
        text << said(::utimensat(AT_FDCWD, path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW));
      };
      set({1'700'000'000, 123'456'789}, {1'600'000'000, 987'654'321});
      show();
      set({0, UTIME_OMIT}, {1, 1});
      show();
      set({-5, 7}, {0, UTIME_OMIT});
      show();
      set({0, UTIME_OMIT}, {0, UTIME_OMIT});
      show();
      text << times_around(path, [&] { set({0, UTIME_OMIT}, {0, UTIME_NOW}); });
      text << times_around(path, [&] { set({5, 5}, {0, UTIME_OMIT}); });
      set({5, 5}, {4'000'000'000, 999'999'999});
      show();
    }
    // Content that is written afterwards counts from then.
    const UniqueFd fd = open_at(root + "a/a/b", O_WRONLY);
    const std::array<timespec, 2> old = {timespec{1000, 0}, {1000, 0}};
    ::futimens(fd.get(), old.data());
    return (text << times_around(root + "a/a/b", [&] { (void)!::write(fd.get(), "x", 1); })).string();
  });
}

TEST_F(AttributesTest, TimesOfTheFilesystemNeverGoBack) {
  const UniqueFd fd = open_at(root() + "c", O_RDWR);
  timespec last{};
  for (int i = 0; i < 200; ++i) {
    switch (i % 5) {
      case 0:
        (void)!::pwrite(fd.get(), "x", 1, i);
        break;
      case 1:
        ::fchmod(fd.get(), i % 2 == 0 ? 0644 : 0600);
        break;
      case 2:
        ::link((root() + "c").c_str(), (root() + "link").c_str());
        break;
      case 3:
        ::unlink((root() + "link").c_str());
        break;
      default:
        ::fsetxattr(fd.get(), "user.i", &i, sizeof i, 0);
    }
    struct stat st;
    ASSERT_EQ(0, ::fstat(fd.get(), &st));
    EXPECT_LE(std::tie(last.tv_sec, last.tv_nsec), std::tie(st.st_ctim.tv_sec, st.st_ctim.tv_nsec)) << i;
    last = st.st_ctim;
  }
}

TEST_F(AttributesTest, ReadingChangesNoMtime) {
  same([](const std::string& root) {
    return (Text() << times_around(root + "c", [&] { content(root + "c"); })
                   << times_around(root + "a", [&] { names(root + "a"); }))
        .string();
  });
}

std::string list_of(const std::string& path) {
  std::array<char, 4096> buffer{};
  const ssize_t n = ::llistxattr(path.c_str(), buffer.data(), buffer.size());
  if (n < 0) return said(-1);
  std::vector<std::string> all;
  for (ssize_t at = 0; at < n; at += static_cast<ssize_t>(all.back().size()) + 1) all.emplace_back(buffer.data() + at);
  std::sort(all.begin(), all.end());
  Text text;
  for (const auto& name : all) text << name << " ";
  return text.string();
}

TEST_F(AttributesTest, UserXattrs) {
  same([](const std::string& root) {
    Text text;
    for (const char* name : {"c", "a", "new"}) {
      open_at(root + "new", O_CREAT | O_WRONLY);
      const std::string path = root + name;
      const auto get = [&](const char* attribute, size_t room) {
        std::array<char, 4096> buffer{};
        const ssize_t n = ::getxattr(path.c_str(), attribute, buffer.data(), room);
        text << said(n) << "=" << buffer.data() << " ";
      };
      const auto set = [&](const char* attribute, const std::string& value, int flags) {
        text << said(::setxattr(path.c_str(), attribute, value.data(), value.size(), flags)) << " ";
      };
      text << list_of(path);
      get("user.absent", 100);
      text << times_around(path, [&] { set("user.one", "value", 0); });
      get("user.one", 100);
      get("user.one", 0);
      get("user.one", 2);
      set("user.one", "again", XATTR_CREATE);
      set("user.two", "", XATTR_REPLACE);
      set("user.two", "", XATTR_CREATE);
      set("user.one", "longer than before", XATTR_REPLACE);
      set("user.", "x", 0);
      set("user.huge", std::string(60'000, 'x'), 0);
      set("nonsense", "x", 0);
      text << list_of(path);
      text << times_around(path, [&] { text << said(::removexattr(path.c_str(), "user.two")); });
      text << said(::removexattr(path.c_str(), "user.two")) << list_of(path);
      get("user.one", 100);
      text << "\n";
    }
    text << said(::lsetxattr((root + "b/c").c_str(), "user.x", "y", 1, 0)) << list_of(root + "b/c");
    text << said(::rename((root + "c").c_str(), (root + "d").c_str())) << list_of(root + "d");
    return text.string();
  });
}

TEST_F(AttributesTest, AttributesOfOtherNamespacesAreNotSupported) {
  for (const char* name : {"security.selinux", "trusted.x", "security.x"}) {
    EXPECT_EQ("EOPNOTSUPP", said(::setxattr((root() + "c").c_str(), name, "value", 5, 0))) << name;
    EXPECT_EQ(-1, ::getxattr((root() + "c").c_str(), name, nullptr, 0)) << name;
  }
}

TEST_F(AttributesTest, WhatWasDoneIsThereAfterARemount) {
  const auto change = [](const std::string& root) {
    {
      const UniqueFd fd = open_at(root + "new", O_CREAT | O_WRONLY, 0640);
      (void)!::pwrite(fd.get(), "tail", 4, 9000);
    }
    ::chmod((root + "c").c_str(), 0600);
    ::rename((root + "a/a").c_str(), (root + "b/moved").c_str());
    ::setxattr((root + "new").c_str(), "user.x", "y", 1, 0);
    ::link((root + "d").c_str(), (root + "linked").c_str());
    const std::array<timespec, 2> times = {timespec{1, 2}, {3, 4}};
    ::utimensat(AT_FDCWD, (root + "d").c_str(), times.data(), 0);
    return std::string();
  };
  same(change);
  unmount();
  mount();
  const auto see = [](const std::string& root) {
    struct stat st {};
    ::stat((root + "d").c_str(), &st);
    return (Text() << look(root + "new") << look(root + "c", false) << look(root + "linked", false)
                   << names(root + "b/moved") << list_of(root + "new") << content(root + "new")
                   << fmt::format("{}.{}", st.st_mtim.tv_sec, st.st_mtim.tv_nsec))
        .string();
  };
  same(see);
  unmount();
  mount(true);
  EXPECT_EQ("EROFS", said(::unlink((root() + "new").c_str())));
  same(see);
}

}  // namespace
}  // namespace artifactfs::test
