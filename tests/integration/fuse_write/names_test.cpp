// Names: making, linking, renaming and removing, in a mount as on ext4.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>

#include "tests/integration/fuse_write/side_by_side.h"

namespace artifactfs::test {
namespace {

class NamesTest : public SideBySide {};

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Listing = std::unique_ptr<DIR, CloseDirectory>;

std::string rename2(const std::string& from, const std::string& to, unsigned flags) {
  return said(::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags));
}

TEST_F(NamesTest, CreateAndOpenFlags) {
  same([](const std::string& root) {
    Text text;
    for (const char* name : {"new", "c", "a", "missing/x", "b/c", "c/below"}) {
      for (const int flags : {O_CREAT | O_WRONLY, O_CREAT | O_EXCL | O_RDWR, O_CREAT | O_TRUNC | O_WRONLY,
                              O_CREAT | O_NOFOLLOW | O_WRONLY, O_WRONLY, O_DIRECTORY | O_RDONLY}) {
        const UniqueFd fd = open_at(root + name, flags);
        text << (fd ? "ok" : said(-1)) << " ";
      }
      text << look(root + name, false) << "\n";
    }
    // Who made a file may write it whatever its mode.
    const UniqueFd fd = open_at(root + "mine", O_CREAT | O_EXCL | O_WRONLY, 0444);
    text << said(::write(fd.get(), "x", 1)) << look(root + "mine");
    return (text << names(root)).string();
  });
}

TEST_F(NamesTest, UmaskIsApplied) {
  same([](const std::string& root) {
    Text text;
    for (const mode_t mask : {0u, 027u, 077u}) {
      ::umask(mask);
      const std::string suffix = std::to_string(mask);
      open_at(root + "file" + suffix, O_CREAT | O_WRONLY, 0777);
      ::mkdir((root + "dir" + suffix).c_str(), 0777);
      ::mkfifo((root + "fifo" + suffix).c_str(), 0666);
      ::umask(0022);
      for (const char* name : {"file", "dir", "fifo"}) text << look(root + name + suffix) << "\n";
    }
    return text.string();
  });
}

TEST_F(NamesTest, DirectoriesCountTheirSubdirectories) {
  same([](const std::string& root) {
    Text text;
    text << look(root + "a");
    text << said(::mkdir((root + "a/new").c_str(), 0750)) << look(root + "a") << look(root + "a/new");
    text << said(::mkdir((root + "a/new").c_str(), 0750));
    text << said(::rename((root + "a/new").c_str(), (root + "b/new").c_str())) << look(root + "a") << look(root + "b");
    text << said(::rmdir((root + "b").c_str())) << said(::rmdir((root + "b/new").c_str())) << look(root + "b");
    text << said(::rmdir((root + "c").c_str())) << said(::unlink((root + "a").c_str()));
    return (text << said(::rmdir((root + "a/.").c_str())) << said(::rmdir((root + "a/a/..").c_str()))).string();
  });
}

TEST_F(NamesTest, HardLinksAreOneInode) {
  same([](const std::string& root) {
    Text text;
    text << said(::link((root + "c").c_str(), (root + "a/link").c_str()));
    text << look(root + "c", false) << look(root + "a/link", false);
    struct stat one, two;
    ::stat((root + "c").c_str(), &one);
    ::stat((root + "a/link").c_str(), &two);
    text << (one.st_ino == two.st_ino ? " same " : " different ");
    const UniqueFd fd = open_at(root + "a/link", O_WRONLY | O_APPEND);
    text << said(::write(fd.get(), "more", 4)) << look(root + "c") << content(root + "c");
    text << said(::unlink((root + "c").c_str())) << look(root + "a/link") << content(root + "a/link");
    text << said(::link((root + "a").c_str(), (root + "directory").c_str()));
    text << said(::link((root + "a/link").c_str(), (root + "d").c_str()));
    return (text << said(::link((root + "b/c").c_str(), (root + "symlink").c_str())) << look(root + "symlink")
                 << look(root + "b/c"))
        .string();
  });
}

TEST_F(NamesTest, RenameReplacesAndRefuses) {
  same([](const std::string& root) {
    ::mkdir((root + "empty").c_str(), 0755);
    Text text;
    const std::array<std::array<const char*, 2>, 14> pairs = {{{"c", "d"},
                                                               {"a/b", "a/a"},
                                                               {"a/a", "d"},
                                                               {"a", "a/a/below"},
                                                               {"a/a", "a"},
                                                               {"f", "empty"},
                                                               {"b", "e"},
                                                               {"missing", "x"},
                                                               {"d", "missing/x"},
                                                               {"a/c", "b/c"},
                                                               {"b/c", "b/d"},
                                                               {"d", "d/"},
                                                               {"empty", "moved/"},
                                                               {"moved", "a/moved"}}};
    for (const auto& [from, to] : pairs) {
      text << std::string(from) << " to " << to << ": " << said(::rename((root + from).c_str(), (root + to).c_str()))
           << "\n";
    }
    return (text << names(root) << names(root + "a") << names(root + "a/moved") << names(root + "b")
                 << content(root + "d"))
        .string();
  });
}

TEST_F(NamesTest, RenameNoReplaceAndExchange) {
  same([](const std::string& root) {
    Text text;
    text << rename2(root + "c", root + "d", RENAME_NOREPLACE);
    text << rename2(root + "c", root + "new", RENAME_NOREPLACE) << rename2(root + "x", root + "y", RENAME_NOREPLACE);
    text << rename2(root + "new", root + "a", RENAME_EXCHANGE) << look(root + "new") << look(root + "a", false);
    text << rename2(root + "new/a/a", root + "d", RENAME_EXCHANGE) << content(root + "d").substr(0, 9);
    text << rename2(root + "d", root + "missing", RENAME_EXCHANGE);
    text << rename2(root + "new", root + "new/a", RENAME_EXCHANGE)
         << rename2(root + "new/a", root + "new", RENAME_EXCHANGE);
    text << rename2(root + "e", root + "new/b", RENAME_EXCHANGE) << content(root + "e") << names(root + "new/b");
    text << rename2(root + "d", root + "e", RENAME_EXCHANGE | RENAME_NOREPLACE);
    return (text << names(root) << names(root + "new")).string();
  });
}

TEST_F(NamesTest, RenameOverAnOpenFile) {
  same([](const std::string& root) {
    const UniqueFd old = open_at(root + "d", O_RDWR);
    Text text;
    text << said(::rename((root + "c").c_str(), (root + "d").c_str()));
    struct stat st;
    ::fstat(old.get(), &st);
    std::array<char, 16> buffer{};
    text << std::to_string(st.st_nlink) << said(::pread(old.get(), buffer.data(), 4, 8990)) << buffer.data();
    text << said(::pwrite(old.get(), "zz", 2, 0)) << said(::pread(old.get(), buffer.data(), 4, 0)) << buffer.data();
    return (text << content(root + "d")).string();
  });
}

TEST_F(NamesTest, RenameOfADirectoryMovesWhatIsOpenBelow) {
  same([](const std::string& root) {
    const UniqueFd below = open_at(root + "a/a/a", O_RDWR);
    const UniqueFd directory = open_at(root + "a/a", O_RDONLY | O_DIRECTORY);
    Text text;
    text << said(::rename((root + "a").c_str(), (root + "b/moved").c_str()));
    text << said(::write(below.get(), "ONE", 3)) << content(root + "b/moved/a/a");
    text << said(::unlinkat(directory.get(), "b", 0)) << names(root + "b/moved/a");
    const UniqueFd made(::openat(directory.get(), "made", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    return (text << look(root + "b/moved/a/made") << look(root + "a")).string();
  });
}

TEST_F(NamesTest, UnlinkedFilesLiveWhileTheyAreOpen) {
  same([](const std::string& root) {
    Text text;
    for (const char* name : {"d", "made"}) {
      const UniqueFd fd = open_at(root + name, O_CREAT | O_RDWR);
      text << said(::unlink((root + name).c_str())) << look(root + name);
      text << said(::pwrite(fd.get(), "written after", 13, 3)) << said(::ftruncate(fd.get(), 20));
      std::array<char, 32> buffer{};
      text << said(::pread(fd.get(), buffer.data(), 32, 0)) << (buffer.data() + 3) << said(::fsync(fd.get()));
      struct stat st;
      text << said(::fstat(fd.get(), &st)) << look(st) << said(::fchmod(fd.get(), 0600));
      // The name is free for another.
      const UniqueFd other = open_at(root + name, O_CREAT | O_EXCL | O_WRONLY);
      text << said(::write(other.get(), "other", 5)) << content(root + name) << "\n";
    }
    return text.string();
  });
}

TEST_F(NamesTest, RemovedDirectoriesTakeNothing) {
  same([](const std::string& root) {
    ::mkdir((root + "gone").c_str(), 0755);
    const UniqueFd directory = open_at(root + "gone", O_RDONLY | O_DIRECTORY);
    Text text;
    text << said(::rmdir((root + "gone").c_str()));
    text << said(::openat(directory.get(), "x", O_CREAT | O_WRONLY, 0600))
         << said(::mkdirat(directory.get(), "y", 0700));
    struct stat st;
    text << said(::fstat(directory.get(), &st)) << std::to_string(st.st_nlink);
    return (text << said(::mkdir((root + "gone").c_str(), 0700)) << look(root + "gone")).string();
  });
}

TEST_F(NamesTest, SymlinksFifosSocketsDevices) {
  same([](const std::string& root) {
    Text text;
    text << said(::symlink("../target of it", (root + "s").c_str())) << look(root + "s");
    std::array<char, 64> buffer{};
    text << said(::readlink((root + "s").c_str(), buffer.data(), 64)) << buffer.data();
    text << said(::symlink(std::string(4095, 'x').c_str(), (root + "long").c_str())) << look(root + "long");
    text << said(::symlink(std::string(4096, 'x').c_str(), (root + "longer").c_str()));
    text << said(::symlink("", (root + "none").c_str())) << said(::symlink("x", (root + "c").c_str()));
    text << said(::mkfifo((root + "fifo").c_str(), 0640)) << look(root + "fifo");
    text << in_child([&] {
      const UniqueFd both = open_at(root + "fifo", O_RDWR);
      std::array<char, 8> through{};
      return (Text() << said(::write(both.get(), "through", 7)) << said(::read(both.get(), through.data(), 7))
                     << through.data())
          .string();
    });
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::snprintf(address.sun_path, sizeof address.sun_path, "%ssocket", root.c_str());
    text << said(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address))
         << look(root + "socket");
    text << said(::listen(socket.get(), 1));
    const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return (text << said(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address)))
        .string();
  });
}

TEST_F(NamesTest, DevicesKeepTheirNumbers) {
  skip_unless_root();
  same([](const std::string& root) {
    return (Text() << said(::mknod((root + "dev").c_str(), S_IFCHR | 0600, makedev(250, 70000))) << look(root + "dev")
                   << said(::mknod((root + "block").c_str(), S_IFBLK | 0600, makedev(7, 1))) << look(root + "block"))
        .string();
  });
}

TEST_F(NamesTest, LongNames) {
  same([](const std::string& root) {
    const std::string most(255, 'n'), more(256, 'n');
    Text text;
    for (const std::string& name : {most, more}) {
      text << (open_at(root + name, O_CREAT | O_WRONLY) ? "ok" : said(-1));
      text << said(::rename((root + "c").c_str(), (root + name).c_str()));
      text << said(::mkdir((root + "a/" + name).c_str(), 0755)) << said(::symlink("x", (root + "b/" + name).c_str()));
      text << said(::link((root + "d").c_str(), (root + "e/" + name).c_str())) << look(root + name, false);
      text << said(::unlink((root + name).c_str())) << said(::rmdir((root + name).c_str())) << "\n";
    }
    return text.string();
  });
}

TEST_F(NamesTest, StickyAndSetGroupIdDirectories) {
  skip_unless_root();
  same([](const std::string& root) {
    ::mkdir((root + "sticky").c_str(), 0755);
    ::chmod((root + "sticky").c_str(), 01777);
    ::mkdir((root + "group").c_str(), 0755);
    (void)!::chown((root + "group").c_str(), 0, 4242);
    ::chmod((root + "group").c_str(), 02777);
    open_at(root + "sticky/roots", O_CREAT | O_WRONLY);
    Text text;
    text << in_child(
        [&] {
          Text said_by_child;
          said_by_child << said(::unlink((root + "sticky/roots").c_str()));
          said_by_child << said(::rename((root + "sticky/roots").c_str(), (root + "sticky/x").c_str()));
          open_at(root + "sticky/own", O_CREAT | O_WRONLY);
          said_by_child << look(root + "sticky/own") << said(::unlink((root + "sticky/own").c_str()));
          open_at(root + "group/file", O_CREAT | O_WRONLY, 02775);
          said_by_child << look(root + "group/file") << said(::mkdir((root + "group/dir").c_str(), 0755));
          said_by_child << look(root + "group/dir") << said(::unlink((root + "c").c_str()));
          return (said_by_child << said(::chmod((root + "c").c_str(), 0777))
                                << said(::truncate((root + "c").c_str(), 0)))
              .string();
        },
        65534);
    return (text << names(root + "sticky")).string();
  });
}

TEST_F(NamesTest, TheKernelKnowsTheTimesAndLinksOfParents) {
  same([](const std::string& root) {
    Text text;
    const auto around = [&](const std::string& path, const std::function<void()>& change) {
      text << times_around(root + path, change) << " ";
      text << look(root + path, false) << "\n";
    };
    around("a/new", [&] { open_at(root + "a/new", O_CREAT | O_WRONLY); });
    around("a/new", [&] { ::link((root + "a/new").c_str(), (root + "b/new").c_str()); });
    around("b/new", [&] { ::unlink((root + "b/new").c_str()); });
    around("a/new", [&] { ::link((root + "a/new").c_str(), (root + "a/two").c_str()); });
    around("a/new", [&] { ::unlink((root + "a/two").c_str()); });
    around("a/new", [&] { ::rename((root + "a/new").c_str(), (root + "b/new").c_str()); });
    around("b/new", [&] { ::rename((root + "b/new").c_str(), (root + "b/again").c_str()); });
    around("b/again", [&] { rename2(root + "b/again", root + "d", RENAME_EXCHANGE); });
    around("a/dir", [&] { ::mkdir((root + "a/dir").c_str(), 0700); });
    around("a/dir", [&] { ::rename((root + "a/dir").c_str(), (root + "dir").c_str()); });
    around("dir", [&] { ::rmdir((root + "dir").c_str()); });
    around("a/c", [&] { ::unlink((root + "a/c").c_str()); });
    return (text << look(root + "a") << look(root + "b")).string();
  });
}

TEST_F(NamesTest, ListingsFollowEveryChange) {
  same([](const std::string& root) {
    Text text;
    text << names(root + "a") << names(root + "b");
    open_at(root + "a/new", O_CREAT | O_WRONLY);
    text << names(root + "a");
    ::rename((root + "a/b").c_str(), (root + "b/b").c_str());
    text << names(root + "a") << names(root + "b");
    ::unlink((root + "a/c").c_str());
    text << names(root + "a");
    ::symlink("x", (root + "a/c").c_str());
    text << names(root + "a");
    ::rename((root + "b").c_str(), (root + "a/b").c_str());
    return (text << names(root) << names(root + "a") << names(root + "a/b")).string();
  });
}

TEST_F(NamesTest, ListedAndStatInodeNumbersAgree) {
  open_at(root() + "a/new", O_CREAT | O_WRONLY);
  ::rename((root() + "d").c_str(), (root() + "a/b").c_str());
  ::rename((root() + "b").c_str(), (root() + "a/moved").c_str());
  for (const char* directory : {"", "a/", "a/moved/"}) {
    for (int round = 0; round < 2; ++round) {  // the second from the kernel's cache
      const Listing listing(::opendir((root() + directory).c_str()));
      ASSERT_TRUE(listing);
      while (const dirent* entry = ::readdir(listing.get())) {
        struct stat st;
        if (directory == std::string() && entry->d_name == std::string("..")) continue;
        ASSERT_EQ(0, ::lstat((root() + directory + entry->d_name).c_str(), &st)) << directory << entry->d_name;
        EXPECT_EQ(st.st_ino, entry->d_ino) << directory << entry->d_name;
        EXPECT_EQ(IFTODT(st.st_mode), entry->d_type) << directory << entry->d_name;
      }
    }
  }
}

TEST_F(NamesTest, DotDotOfAMovedDirectoryIsItsNewParent) {
  same([](const std::string& root) {
    names(root + "b/a");  // now in the kernel's cache
    ::rename((root + "b/a").c_str(), (root + "a/moved").c_str());
    struct stat parent, dotdot;
    ::stat((root + "a").c_str(), &parent);
    ::stat((root + "a/moved/..").c_str(), &dotdot);
    return std::string(parent.st_ino == dotdot.st_ino ? "same" : "different");
  });
}

TEST_F(NamesTest, RemovingWhileListing) {
  same([](const std::string& root) {
    ::mkdir((root + "many").c_str(), 0755);
    for (int i = 0; i < 3000; ++i) open_at(root + "many/file-" + std::to_string(i), O_CREAT | O_WRONLY);
    const Listing listing(::opendir((root + "many").c_str()));
    int removed = 0;
    while (const dirent* entry = ::readdir(listing.get())) {
      if (entry->d_name[0] != '.') removed += ::unlinkat(::dirfd(listing.get()), entry->d_name, 0) == 0 ? 1 : 0;
    }
    return (Text() << std::to_string(removed) << said(::rmdir((root + "many").c_str()))).string();
  });
}

TEST_F(NamesTest, TmpfileHasNoNameUntilItIsLinked) {
  same([](const std::string& root) {
    UniqueFd fd = open_at(root + "a", O_TMPFILE | O_RDWR, 0640);
    if (!fd) return said(-1);
    struct stat st;
    Text text;
    text << said(::write(fd.get(), "unseen", 6)) << said(::fstat(fd.get(), &st)) << look(st) << names(root + "a");
    const std::string self = "/proc/self/fd/" + std::to_string(fd.get());
    text << said(::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, (root + "a/seen").c_str(), AT_SYMLINK_FOLLOW));
    text << look(root + "a/seen") << content(root + "a/seen") << names(root + "a");
    fd = open_at(root, O_TMPFILE | O_EXCL | O_WRONLY, 0600);
    return (text << (fd ? "ok" : said(-1)) << (open_at(root + "c", O_TMPFILE | O_RDWR) ? "ok" : said(-1))).string();
  });
}

TEST_F(NamesTest, TheGitfileIsTheMounts) {
  EXPECT_EQ("EPERM", said(::unlink((root() + ".git").c_str())));
  EXPECT_EQ("EPERM", said(::rename((root() + ".git").c_str(), (root() + "git").c_str())));
  EXPECT_EQ("EPERM", said(::rename((root() + "c").c_str(), (root() + ".git").c_str())));
  EXPECT_EQ("EPERM", said(::truncate((root() + ".git").c_str(), 0)));
  EXPECT_EQ("EEXIST", said(::mkdir((root() + ".git").c_str(), 0755)));
  EXPECT_EQ("ok", said(::mkdir((root() + "a/.git").c_str(), 0755)));
}

}  // namespace
}  // namespace artifactfs::test
