// The kernel keeps what it was told: a second ls, stat or cat makes no request.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "tests/integration/fuse/mounted.h"

namespace artifactfs {
namespace {

class CachingTest : public MountedTest {
 protected:
  // What `action` costs the second time.
  uint64_t requests_when_warm(const std::function<void()>& action) {
    action();
    const uint64_t before = session_->stats().requests;
    action();
    return session_->stats().requests - before;
  }
};

TEST_F(CachingTest, SecondStatCatAndListMakeNoRequest) {
  const InodeNumber directory = filesystem_.add_directory(kRootInode, "dir");
  filesystem_.add_file(directory, "file", "content\n");
  mount();
  EXPECT_EQ(0u, requests_when_warm([&] { EXPECT_EQ("content\n", output_of("cat " + path("dir/file"))); }));
  EXPECT_EQ(0u, requests_when_warm([&] { EXPECT_EQ("8\n", output_of("stat -c %s " + path("dir/file"))); }));
  EXPECT_EQ(0u, requests_when_warm([&] { EXPECT_EQ("file\n", output_of("ls " + path("dir"))); }));
  EXPECT_EQ(0u,
            requests_when_warm([&] { EXPECT_EQ(path("dir/file") + "\n", output_of("find " + path() + " -type f")); }));
}

TEST_F(CachingTest, AbsentNameIsRemembered) {
  mount();
  struct stat stat;
  EXPECT_EQ(0u, requests_when_warm([&] {
              EXPECT_EQ(-1, ::stat(path("absent").c_str(), &stat));
              EXPECT_EQ(ENOENT, errno);
            }));
  EXPECT_EQ(1u, filesystem_.counts().lookup);
}

TEST_F(CachingTest, LinkTargetIsRemembered) {
  filesystem_.add_symlink(kRootInode, "link", "some/where");
  mount();
  char target[64];
  EXPECT_EQ(0u, requests_when_warm([&] { EXPECT_EQ(10, ::readlink(path("link").c_str(), target, sizeof target)); }));
  EXPECT_EQ("some/where", std::string(target, 10));
  EXPECT_EQ(1u, filesystem_.counts().readlink);
}

TEST_F(CachingTest, OpenAndCloseOfAnotherFileAskOnlyForItsNameAndContent) {
  filesystem_.add_file(kRootInode, "first", "1");
  filesystem_.add_file(kRootInode, "second", "2");
  mount();
  EXPECT_EQ("1", output_of("cat " + path("first")));
  const uint64_t before = session_->stats().requests;
  const int fd = ::open(path("second").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  char byte;
  EXPECT_EQ(1, ::read(fd, &byte, 1));
  EXPECT_EQ(0, ::close(fd));
  EXPECT_EQ(2u, session_->stats().requests - before);  // LOOKUP, READ; no OPEN, FLUSH, RELEASE
}

TEST_F(CachingTest, OpenDirIsNotSentTwice) {
  filesystem_.add_directory(kRootInode, "one");
  filesystem_.add_directory(kRootInode, "two");
  mount();
  output_of("ls " + path("one"));
  const uint64_t before = session_->stats().requests;
  output_of("ls " + path("two"));
  // LOOKUP, READDIRPLUS twice (the second says: no more); no OPENDIR or RELEASEDIR
  EXPECT_LE(session_->stats().requests - before, 3u);
}

TEST_F(CachingTest, ListingBringsTheAttributes) {
  for (int i = 0; i < 50; ++i) filesystem_.add_file(kRootInode, "file" + std::to_string(i), "x");
  mount();
  output_of("ls -l --color=never " + path());
  EXPECT_EQ(0u, filesystem_.counts().lookup);
  EXPECT_LE(filesystem_.counts().getattr, 1u);  // of the root
}

TEST_F(CachingTest, ChangedTimeDoesNotDropPages) {  // AUTO_INVAL_DATA
  const InodeNumber file = filesystem_.add_file(kRootInode, "file", "content");
  filesystem_.make_restless(file);
  mount();
  EXPECT_EQ("content", output_of("cat " + path("file")));
  EXPECT_EQ("content", output_of("cat " + path("file")));
  EXPECT_GE(filesystem_.counts().getattr, 2u);
  EXPECT_EQ(1u, filesystem_.counts().read);
}

TEST_F(CachingTest, InvalidatedContentIsReadAgain) {
  const InodeNumber file = filesystem_.add_file(kRootInode, "file", "old");
  mount();
  EXPECT_EQ("old", output_of("cat " + path("file")));
  filesystem_.replace_content(file, "newer");
  session_->invalidate_inode(file);
  EXPECT_TRUE(eventually([&] { return output_of("cat " + path("file")) == "newer"; }));
}

TEST_F(CachingTest, InvalidatedNamesAreLookedUpAgain) {
  filesystem_.add_file(kRootInode, "old", "x");
  mount();
  EXPECT_EQ("old\n", output_of("ls " + path()));
  EXPECT_NE(0, ::access(path("new").c_str(), F_OK));
  filesystem_.rename_entry(kRootInode, "old", "new");
  session_->invalidate_entry(kRootInode, "old");
  session_->invalidate_entry(kRootInode, "new");
  session_->invalidate_inode(kRootInode);
  EXPECT_TRUE(eventually([&] { return ::access(path("new").c_str(), F_OK) == 0; }));
  EXPECT_TRUE(eventually([&] { return ::access(path("old").c_str(), F_OK) != 0; }));
  EXPECT_TRUE(eventually([&] { return output_of("ls " + path()) == "new\n"; }));
}

TEST_F(CachingTest, ExtendedAttributes) {
  const InodeNumber file = filesystem_.add_file(kRootInode, "file", "x");
  filesystem_.set_attribute(file, "user.artifactfs.oid", "0123");
  filesystem_.set_attribute(file, "user.empty", "");
  mount();
  char value[64];
  const std::string name = path("file");
  EXPECT_EQ(4, ::getxattr(name.c_str(), "user.artifactfs.oid", nullptr, 0));
  EXPECT_EQ(4, ::getxattr(name.c_str(), "user.artifactfs.oid", value, sizeof value));
  EXPECT_EQ("0123", std::string(value, 4));
  EXPECT_EQ(-1, ::getxattr(name.c_str(), "user.artifactfs.oid", value, 3));
  EXPECT_EQ(ERANGE, errno);
  EXPECT_EQ(0, ::getxattr(name.c_str(), "user.empty", value, sizeof value));
  EXPECT_EQ(-1, ::getxattr(name.c_str(), "user.absent", value, sizeof value));
  EXPECT_EQ(ENODATA, errno);
  const std::string list("user.artifactfs.oid\0user.empty\0", 31);
  EXPECT_EQ(31, ::listxattr(name.c_str(), nullptr, 0));
  EXPECT_EQ(31, ::listxattr(name.c_str(), value, sizeof value));
  EXPECT_EQ(list, std::string(value, 31));
  EXPECT_EQ(-1, ::listxattr(name.c_str(), value, 30));
  EXPECT_EQ(ERANGE, errno);
  const uint64_t before = filesystem_.counts().getxattr;
  for (const char* unsupported : {"security.selinux", "system.posix_acl_access", "system.posix_acl_default"}) {
    EXPECT_EQ(-1, ::getxattr(name.c_str(), unsupported, value, sizeof value));
    EXPECT_EQ(EOPNOTSUPP, errno) << unsupported;
  }
  EXPECT_EQ(before, filesystem_.counts().getxattr);
}

TEST_F(CachingTest, StatReportsWhatTheFilesystemSays) {
  const InodeNumber file = filesystem_.add_file(kRootInode, "file", "12345", 0755);
  mount();
  struct stat stat;
  ASSERT_EQ(0, ::stat(path("file").c_str(), &stat));
  EXPECT_EQ(file, stat.st_ino);
  EXPECT_EQ(S_IFREG | 0755u, stat.st_mode);
  EXPECT_EQ(5, stat.st_size);
  EXPECT_EQ(4096, stat.st_blksize);
  EXPECT_EQ(1'700'000'000, stat.st_mtim.tv_sec);
  EXPECT_EQ(5, stat.st_mtim.tv_nsec);
  struct statvfs statistics;
  ASSERT_EQ(0, ::statvfs(path().c_str(), &statistics));
  EXPECT_EQ(1000u, statistics.f_blocks);
  EXPECT_EQ(400u, statistics.f_bavail);
  EXPECT_EQ(77u, statistics.f_files);
  EXPECT_EQ(255u, statistics.f_namemax);
}

TEST_F(CachingTest, DroppedInodesAreForgottenAsOftenAsTheyWereLookedUp) {
  for (int i = 0; i < 100; ++i) filesystem_.add_file(kRootInode, "file" + std::to_string(i), "x");
  mount();
  output_of("ls -l " + path());
  ASSERT_TRUE(session_->unmount(false));
  // The kernel sends what it can before the connection ends; never more than was looked up.
  EXPECT_LE(filesystem_.counts().forgotten, 100u);
}

}  // namespace
}  // namespace artifactfs
