// What was agreed with the kernel, seen from outside. (Caching settings: caching_test.cpp; ASYNC_READ and
// max_background: parked_readers_test.cpp too.)
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "base/unique_fd.h"
#include "tests/integration/fuse/mounted.h"

namespace artifactfs {
namespace {

class SettingsTest : public MountedTest {
 protected:
  std::string mount_line() const { return output_of("grep -F ' " + path() + " ' /proc/self/mounts"); }
  void skip_unless_root() {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }
};

TEST_F(SettingsTest, MountTableShowsWhatItIs) {
  mount({.source = "https://example.org/a,b\\c d.git", .allow_other = true});
  const std::string line = mount_line();
  EXPECT_TRUE(line.starts_with("https://example.org/a,b\\134c\\040d.git " + path() + " fuse.artifactfs ")) << line;
  for (const char* option : {" ro,", "nosuid", "nodev", "default_permissions", "allow_other"}) {
    EXPECT_NE(std::string::npos, line.find(option)) << option << " in " << line;
  }
}

TEST_F(SettingsTest, GenericOptionsAreKept) {
  mount({.source = "test", .extra = {"ro", "noexec", "noatime", "sync", "dirsync", "max_read=65536"}});
  const std::string line = mount_line();
  for (const char* option : {"noexec", "noatime", "sync", "dirsync", "max_read=65536"}) {
    EXPECT_NE(std::string::npos, line.find(option)) << option << " in " << line;
  }
  EXPECT_EQ(65536u, session_->stats().max_read_bytes);
}

TEST_F(SettingsTest, UnknownOptionsAreRefusedByName) {
  for (const char* option : {"frobnicate", "allow_root", "suid", "dev", "max_read=x", "max_read=1", "rw", ""}) {
    const auto session = FuseSession::mount(root_, {.source = "test", .extra = {option}}, filesystem_, nullptr);
    ASSERT_FALSE(session);
    EXPECT_EQ(ErrorCode::invalid_argument, session.error().code);
    EXPECT_NE(std::string::npos, session.error().sentence.find(option)) << session.error().text();
  }
}

TEST_F(SettingsTest, ReadOnlyIsTheKernelsBusiness) {
  filesystem_.add_file(kRootInode, "file", "x", 0666);
  mount();
  EXPECT_EQ(-1, ::open(path("file").c_str(), O_WRONLY));
  EXPECT_EQ(EROFS, errno);
  EXPECT_EQ(-1, ::open(path("new").c_str(), O_WRONLY | O_CREAT, 0600));
  EXPECT_EQ(EROFS, errno);
  EXPECT_EQ(-1, ::mkdir(path("dir").c_str(), 0700));
  EXPECT_EQ(EROFS, errno);
}

TEST_F(SettingsTest, KernelChecksPermissions) {  // default_permissions, allow_other
  skip_unless_root();
  filesystem_.add_file(kRootInode, "secret", "x", 0600);
  filesystem_.add_file(kRootInode, "public", "x", 0644);
  ASSERT_EQ(0, ::chmod(root_.c_str(), 0755));
  mount({.source = "test", .allow_other = true});
  const auto as_nobody = [] { (void)!::setresuid(65534, 65534, 65534); };
  EXPECT_EQ(EACCES, WEXITSTATUS(ReadingChild(path("secret"), as_nobody).wait()));
  EXPECT_EQ(0, WEXITSTATUS(ReadingChild(path("public"), as_nobody).wait()));
}

TEST_F(SettingsTest, OthersAreKeptOutWithoutAllowOther) {
  skip_unless_root();
  filesystem_.add_file(kRootInode, "public", "x", 0644);
  ASSERT_EQ(0, ::chmod(root_.c_str(), 0755));
  mount();
  const auto as_nobody = [] { (void)!::setresuid(65534, 65534, 65534); };
  EXPECT_EQ(EACCES, WEXITSTATUS(ReadingChild(path("public"), as_nobody).wait()));
}

TEST_F(SettingsTest, WritingAsksForNoCapabilities) {  // HANDLE_KILLPRIV_V2
  filesystem_.add_file(kRootInode, "file", std::string(8192, 'x'));
  mount({.source = "test", .read_only = false});
  const int fd = ::open(path("file").c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(-1, ::pwrite(fd, "y", 1, i));  // a FakeFilesystem refuses it
  ::close(fd);
  EXPECT_LE(filesystem_.counts().capability_queries, 1u);  // once an inode, not once a write
}

TEST_F(SettingsTest, NamesOfOneDirectoryAreLookedUpInParallel) {  // PARALLEL_DIROPS
  std::mutex mutex;
  std::condition_variable both;
  int inside = 0;
  filesystem_.on_lookup = [&](std::string_view name) {
    if (name != "one" && name != "two") return;
    std::unique_lock lock(mutex);
    ++inside;
    both.notify_all();
    EXPECT_TRUE(both.wait_for(lock, std::chrono::seconds(10), [&] { return inside == 2; }));
  };
  mount();
  std::thread one([&] { ::access(path("one").c_str(), F_OK); });
  std::thread two([&] { ::access(path("two").c_str(), F_OK); });
  one.join();
  two.join();
}

TEST_F(SettingsTest, BackgroundLimitIsTheLargest) {
  skip_unless_root();
  mount();
  struct stat stat;
  ASSERT_EQ(0, ::stat(path().c_str(), &stat));
  std::string control = (std::filesystem::temp_directory_path() / "artifactfs-fusectl-XXXXXX").string();
  ASSERT_NE(nullptr, ::mkdtemp(control.data()));
  if (::mount("none", control.c_str(), "fusectl", 0, nullptr) != 0) {
    ::rmdir(control.c_str());
    GTEST_SKIP() << "fusectl cannot be mounted here";
  }
  const std::string connection = control + "/" + std::to_string(minor(stat.st_dev));
  EXPECT_EQ("65535\n", read_file(connection + "/max_background").value());
  EXPECT_EQ("65535\n", read_file(connection + "/congestion_threshold").value());
  ::umount(control.c_str());
  ::rmdir(control.c_str());
}

TEST_F(SettingsTest, LargeReadsComeInLargePieces) {
  filesystem_.add_large_file(kRootInode, "large", 16 << 20);
  mount();
  const int fd = ::open(path("large").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  std::vector<char> buffer(4 << 20);
  EXPECT_EQ(static_cast<ssize_t>(buffer.size()), ::read(fd, buffer.data(), buffer.size()));
  ::close(fd);
  EXPECT_EQ(uint64_t{1} << 20, filesystem_.counts().largest_read);
}

}  // namespace
}  // namespace artifactfs
