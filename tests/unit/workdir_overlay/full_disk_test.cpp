// A full disk is told as such, leaves everything consistent, and does not keep anybody from making room.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include "tests/unit/workdir_overlay/overlay_fixture.h"

namespace artifactfs::test {
namespace {

class SmallDisk {
 public:
  SmallDisk() { mounted_ = ::mount("tmpfs", directory_.path().c_str(), "tmpfs", 0, "size=4m") == 0; }
  ~SmallDisk() {
    if (mounted_) ::umount2(directory_.path().c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  std::filesystem::path path() const { return directory_.path() / "mount"; }

 private:
  TemporaryDirectory directory_{"artifactfs-full"};
  bool mounted_ = false;
};

TEST(OverlayFullDisk, IsToldAndLeavesNothingHalfDone) {
  SmallDisk disk;
  if (!disk.mounted()) GTEST_SKIP() << "needs root to mount a tmpfs";
  MemoryBase base({{"a", {"alpha"}}, {"big", {std::string(3 << 20, 'b')}}});
  auto workdir = base.open(disk.path());
  std::vector<std::string> before;
  {
    Files f(*workdir);
    const InodeNumber inode = f.create("fill").value().inode;
    Result<size_t> written = size_t{0};
    for (uint64_t at = 0; written; at += *written) {
      written = f.write(inode, at, std::string(65536, 'x'));
      if (written && *written < 65536) break;
    }
    // Fill up to the last page.
    for (written = 1; written;) written = f.write(inode, f.fstat(inode).value().size_bytes, "x");
    EXPECT_EQ(code_of(written), ErrorCode::no_space);
    EXPECT_EQ(code_of(f.write("big", 0, "x")), ErrorCode::no_space);  // a copy-up that does not fit
    EXPECT_EQ(f.read("big").value_or("").size(), size_t{3 << 20});
    Result<Attributes> made = Attributes{};
    for (int i = 0; made && i < 100'000; ++i) made = f.create("n" + std::to_string(i));
    EXPECT_EQ(code_of(made), ErrorCode::no_space);
    before = f.tree();
    EXPECT_TRUE(f.unlink("a"));
    EXPECT_TRUE(f.unlink("fill"));
    workdir->forget(inode, 1 << 20);
    EXPECT_TRUE(f.create("room"));
    EXPECT_TRUE(f.write("room", 0, std::string(65536, 'y')));
    before = f.tree();
  }
  workdir.reset();
  for (const auto& finding : findings_of(disk.path(), true)) {
    EXPECT_EQ(finding.kind, OverlayFinding::Kind::leftover) << finding.text;
  }
  workdir = base.open(disk.path());
  EXPECT_EQ(Files(*workdir).tree(), before);
}

}  // namespace
}  // namespace artifactfs::test
