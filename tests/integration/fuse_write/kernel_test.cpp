// What the kernel sends, and what programs beside the one that changes something are told.
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <fstream>
#include <map>
#include <mutex>
#include <vector>

#include "tests/integration/fuse/mounted.h"
#include "tests/integration/fuse_write/side_by_side.h"

namespace artifactfs::test {
namespace {

// Passes everything on to a workdir and counts.
class Counting final : public Filesystem {
 public:
  explicit Counting(Filesystem& next) : next_(next) {}
  Result<Attributes> lookup(InodeNumber parent, std::string_view name) override {
    return counted(next_.lookup(parent, name));
  }
  Ticket getattr(InodeNumber inode, Completion<Attributes> done) override {
    ++getattrs;
    return next_.getattr(inode, std::move(done));
  }
  Result<void> read_directory(InodeNumber inode, uint64_t cookie,
                              const std::function<bool(const DirectoryEntry&)>& emit) override {
    return next_.read_directory(inode, cookie, emit);
  }
  Ticket readlink(InodeNumber inode, Completion<std::string> done) override {
    return next_.readlink(inode, std::move(done));
  }
  Ticket read(InodeNumber inode, uint64_t offset, size_t size, Completion<ReadData> done) override {
    ++reads;
    return next_.read(inode, offset, size, std::move(done));
  }
  Result<std::string> getxattr(InodeNumber inode, std::string_view name) override {
    ++getxattrs;
    return next_.getxattr(inode, name);
  }
  Result<std::vector<std::string>> listxattr(InodeNumber inode) override { return next_.listxattr(inode); }
  Result<FilesystemStats> statfs() override { return next_.statfs(); }
  void remember(InodeNumber inode) override {
    add(inode, 1);
    ++remembered;
    next_.remember(inode);
  }
  void forget(InodeNumber inode, uint64_t count) override {
    add(inode, -static_cast<int64_t>(count));
    next_.forget(inode, count);
  }
  Result<Attributes> mknod(const Caller& caller, InodeNumber parent, std::string_view name, uint32_t mode,
                           uint64_t device) override {
    return counted(next_.mknod(caller, parent, name, mode, device));
  }
  Result<Attributes> mkdir(const Caller& caller, InodeNumber parent, std::string_view name, uint32_t mode) override {
    return counted(next_.mkdir(caller, parent, name, mode));
  }
  Result<Attributes> symlink(const Caller& caller, InodeNumber parent, std::string_view name,
                             std::string_view target) override {
    return counted(next_.symlink(caller, parent, name, target));
  }
  Result<Attributes> link(InodeNumber inode, InodeNumber new_parent, std::string_view new_name) override {
    return counted(next_.link(inode, new_parent, new_name));
  }
  Result<Attributes> tmpfile(const Caller& caller, InodeNumber parent, uint32_t mode) override {
    return counted(next_.tmpfile(caller, parent, mode));
  }
  Result<void> unlink(InodeNumber parent, std::string_view name) override { return next_.unlink(parent, name); }
  Result<void> rmdir(InodeNumber parent, std::string_view name) override { return next_.rmdir(parent, name); }
  Result<void> rename(InodeNumber parent, std::string_view name, InodeNumber new_parent, std::string_view new_name,
                      RenameMode mode) override {
    return next_.rename(parent, name, new_parent, new_name, mode);
  }
  Ticket setattr(InodeNumber inode, const AttributeChange& change, Completion<Attributes> done) override {
    return next_.setattr(inode, change, std::move(done));
  }
  Ticket write(InodeNumber inode, uint64_t offset, std::span<const std::byte> data, bool kill_privileges,
               Completion<size_t> done) override {
    ++writes;
    largest_write = std::max<size_t>(largest_write, data.size());
    return next_.write(inode, offset, data, kill_privileges, std::move(done));
  }

  /// Inodes whose count is not zero.
  size_t held() {
    std::lock_guard lock(mutex_);
    return counts_.size();
  }
  bool was_negative() {
    std::lock_guard lock(mutex_);
    return negative_;
  }
  std::atomic<size_t> getattrs = 0, reads = 0, getxattrs = 0, writes = 0, remembered = 0, largest_write = 0;

 private:
  Result<Attributes> counted(Result<Attributes> found) {
    if (found) add(found->inode, 1);
    return found;
  }
  void add(InodeNumber inode, int64_t count) {
    std::lock_guard lock(mutex_);
    const int64_t now = counts_[inode] += count;
    negative_ = negative_ || now < 0;
    if (now == 0) counts_.erase(inode);
  }
  Filesystem& next_;
  std::mutex mutex_;
  std::map<InodeNumber, int64_t> counts_;
  bool negative_ = false;
};

class KernelTest : public SideBySide {
 protected:
  void SetUp() override {
    SideBySide::SetUp();
    if (!session_) return;
    session_.reset();
    counting_.emplace(*workdir_);
    session_ = FuseSession::mount(root(), {.source = "test", .read_only = false}, *counting_, nullptr).value();
  }
  std::optional<Counting> counting_;
  void TearDown() override {
    session_.reset();
    SideBySide::TearDown();
  }
};

TEST_F(KernelTest, LookupsAndForgetsBalance) {
  open_at(root() + "a/new", O_CREAT | O_WRONLY);
  ::mkdir((root() + "a/dir").c_str(), 0755);
  ::symlink("x", (root() + "a/dir/symlink").c_str());
  ::link((root() + "c").c_str(), (root() + "a/link").c_str());
  for (int i = 0; i < 500; ++i) open_at(root() + "a/dir/file-" + std::to_string(i), O_CREAT | O_WRONLY);
  {
    const UniqueFd unnamed = open_at(root(), O_TMPFILE | O_RDWR, 0600);
    const UniqueFd unlinked = open_at(root() + "a/dir/file-7", O_RDWR);
    ::unlink((root() + "a/dir/file-7").c_str());
  }
  // Listed with attributes, more than once, in an order that mixes LOOKUP and READDIRPLUS.
  output_of("ls -lR " + root() + " >/dev/null; find " + root() + " -size +1 >/dev/null; ls -l " + root() + "a/dir");
  ::rename((root() + "a/dir").c_str(), (root() + "b/dir").c_str());
  output_of("ls -lR " + root());
  EXPECT_GT(counting_->remembered, 0u);
  ASSERT_GT(counting_->held(), 500u);

  // The kernel drops an inode with its last name, and says so.
  for (const char* name : {"a", "b", "c", "d", "e", "f", ".git"}) session_->invalidate_entry(kRootInode, name);
  EXPECT_TRUE(eventually([&] { return counting_->held() == 0; })) << counting_->held();
  EXPECT_FALSE(counting_->was_negative());
  EXPECT_EQ("a b c d e f ", names(root()));
  EXPECT_EQ(499u + 1, static_cast<size_t>(std::distance(std::filesystem::directory_iterator(root() + "b/dir"), {})));
}

TEST_F(KernelTest, LargeWritesComeInLargePieces) {
  const UniqueFd fd = open_at(root() + "large", O_CREAT | O_WRONLY);
  const std::string data(4 << 20, 'x');
  EXPECT_EQ(static_cast<ssize_t>(data.size()), ::write(fd.get(), data.data(), data.size()));
  EXPECT_EQ(uint64_t{1} << 20, counting_->largest_write);
}

TEST_F(KernelTest, WritingAndLookingCostsNoReadAndNoCapabilityQuery) {
  const UniqueFd fd = open_at(root() + "d", O_RDWR);
  content(root() + "d");
  const size_t reads = counting_->reads;
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(1, ::pwrite(fd.get(), "x", 1, i * 100));
    look(root() + "d");
    content(root() + "d");
  }
  EXPECT_EQ(reads, counting_->reads);
  EXPECT_EQ(0u, counting_->getxattrs);
}

TEST_F(KernelTest, UnchangedFilesAreNotLookedAtAgain) {
  output_of("ls -lR " + root());
  const size_t before = counting_->getattrs;
  open_at(root() + "a/new", O_CREAT | O_WRONLY);
  for (const char* name : {"c", "d", "a/a/a"}) look(root() + name);
  EXPECT_EQ(before + 1, counting_->getattrs);  // of "a", which has changed
}

TEST_F(KernelTest, InotifyTellsEveryChange) {
  same([](const std::string& root) {
    const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    ::inotify_add_watch(watch.get(), root.c_str(), IN_ALL_EVENTS & ~IN_ACCESS);
    ::inotify_add_watch(watch.get(), (root + "a").c_str(), IN_ALL_EVENTS & ~IN_ACCESS);
    {
      const UniqueFd fd = open_at(root + "new", O_CREAT | O_WRONLY);
      (void)!::write(fd.get(), "x", 1);
    }
    ::chmod((root + "new").c_str(), 0600);
    ::rename((root + "new").c_str(), (root + "a/moved").c_str());
    open_at(root + "a/moved", O_WRONLY | O_TRUNC);
    ::link((root + "c").c_str(), (root + "a/link").c_str());
    ::mkdir((root + "a/dir").c_str(), 0700);
    ::rmdir((root + "a/dir").c_str());
    ::unlink((root + "a/moved").c_str());
    Text text;
    alignas(inotify_event) std::array<char, 16384> buffer;
    ssize_t n;
    while ((n = ::read(watch.get(), buffer.data(), buffer.size())) > 0) {
      for (ssize_t at = 0; at < n;) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
        text << std::to_string(event->wd) << " " << std::to_string(event->mask) << " "
             << (event->len != 0 ? event->name : "") << "\n";
        at += static_cast<ssize_t>(sizeof *event + event->len);
      }
    }
    return text.string();
  });
}

}  // namespace
}  // namespace artifactfs::test
