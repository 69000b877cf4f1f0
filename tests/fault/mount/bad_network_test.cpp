// A network that breaks answers: mounts and reads succeed by trying again or fail with a clear error; what is read is
// never wrong.
#include <cerrno>
#include <thread>

#include "tests/harness/delay_proxy.h"
#include "tests/harness/git_http_server.h"
#include "tests/integration/mount/mount_test.h"

namespace artifactfs::test {
namespace {

namespace fs = std::filesystem;

constexpr int kSmallFiles = 12;
constexpr uint64_t kLargeBytes = 2'000'000;

class BadNetworkTest : public MountTest {
 protected:
  void SetUp() override {
    MountTest::SetUp();
    if (IsSkipped()) return;
    GitRepository source(artifactfs_ / "source");
    for (int i = 0; i < kSmallFiles; ++i) source.write_file(small(i), noise(2000, static_cast<uint64_t>(i)));
    for (int i = 0; i < 200; ++i) source.write_file("names/" + noise_name(i), "");
    source.write_file("large", noise(kLargeBytes, 99));
    source.commit("first");
    source.bare_clone(served() / "repo.git");
    server_ = std::make_unique<GitHttpServer>(served());
    proxy_ = std::make_unique<DelayProxy>("127.0.0.1", server_->port());
    artifactfs_.start_daemon();
  }

  // Names that do not compress, so that an answer with the trees is long enough to be broken in its middle.
  static std::string noise_name(int i) {
    std::string name;
    for (const char c : noise(60, static_cast<uint64_t>(i))) name += static_cast<char>('a' + (c & 15));
    return name;
  }
  static std::string small(int i) { return "small/f" + std::to_string(i); }
  std::string remote() const { return "http://127.0.0.1:" + std::to_string(proxy_->port()) + "/repo.git"; }

  /// Reads everything; a read may fail with EIO, but what it gives is right. Returns how many reads failed.
  static int failed_reads(const fs::path& mount) {
    int failed = 0;
    const auto check = [&](const fs::path& file, const std::string& expected) {
      try {
        EXPECT_TRUE(content_of(file) == expected) << file << " is wrong";
      } catch (const std::system_error& error) {
        EXPECT_EQ(EIO, error.code().value()) << error.what();
        ++failed;
      }
    };
    for (int i = 0; i < kSmallFiles; ++i) check(mount / small(i), noise(2000, static_cast<uint64_t>(i)));
    check(mount / "large", noise(kLargeBytes, 99));
    return failed;
  }

  /// Mounts while the network is bad; when that fails, it fails as an error should.
  bool try_mount(const fs::path& target) {
    fs::create_directories(target);
    const auto output = artifactfs_.run({"mount", remote(), target.string(), "--fetch-timeout=20s", "--prefetch=none"});
    if (output.status == 0) return true;
    EXPECT_EQ(1, output.status);
    EXPECT_TRUE(output.err.starts_with("artifactfs: cannot mount '")) << output.err;
    EXPECT_EQ(1, std::ranges::count(output.err, '\n')) << output.err;
    EXPECT_TRUE(artifactfs_.mounted().empty());
    EXPECT_TRUE(artifactfs_.state_entries("mounts").empty());
    EXPECT_TRUE(fs::is_empty(target));
    return false;
  }

  void mount_and_read(const std::string& what) {
    SCOPED_TRACE(what);
    const auto mount = artifactfs_ / "mnt";
    if (!try_mount(mount)) {
      proxy_->cut_answers_after(0, 0);
      proxy_->corrupt_answers_at(0, 0);
      ASSERT_TRUE(try_mount(mount)) << "the network is well again";
    }
    EXPECT_EQ(0, failed_reads(mount)) << artifactfs_.log();
    proxy_->cut_answers_after(0, 0);
    proxy_->corrupt_answers_at(0, 0);
    artifactfs_.must_run({"remove", mount.string()});
    artifactfs_.must_run({"gc"});
  }

  std::unique_ptr<GitHttpServer> server_;
  std::unique_ptr<DelayProxy> proxy_;
};

TEST_F(BadNetworkTest, MountWhileAnswersAreCut) {
  for (const uint64_t at : {1, 2000, 14000}) {
    proxy_->cut_answers_after(at, 2);
    mount_and_read("cut at " + std::to_string(at));
  }
}

TEST_F(BadNetworkTest, MountWhileBytesAreCorrupted) {
  for (const uint64_t at : {5, 700, 9000}) {
    proxy_->corrupt_answers_at(at, 1);
    mount_and_read("corrupted at " + std::to_string(at));
  }
}

TEST_F(BadNetworkTest, ReadsTryAgainWhenAnswersAreCut) {
  for (const uint64_t at : {1, 1500, 1'000'000}) {
    SCOPED_TRACE(at);
    ASSERT_TRUE(try_mount(artifactfs_ / "mnt"));
    proxy_->cut_answers_after(at, 3);
    EXPECT_EQ(0, failed_reads(artifactfs_ / "mnt")) << artifactfs_.log();
    proxy_->cut_answers_after(0, 0);
    artifactfs_.must_run({"remove", (artifactfs_ / "mnt").string()});
    artifactfs_.must_run({"gc"});
  }
}

TEST_F(BadNetworkTest, CorruptedContentIsNeverRead) {
  for (const uint64_t at : {400, 1500, 1'000'000}) {
    SCOPED_TRACE(at);
    ASSERT_TRUE(try_mount(artifactfs_ / "mnt"));
    proxy_->corrupt_answers_at(at, 2);
    EXPECT_EQ(0, failed_reads(artifactfs_ / "mnt")) << artifactfs_.log();
    // A server that is always wrong is an error, not an endless wait.
    proxy_->corrupt_answers_at(0, 0);
    artifactfs_.must_run({"remove", (artifactfs_ / "mnt").string()});
    artifactfs_.must_run({"gc"});
  }
  ASSERT_TRUE(try_mount(artifactfs_ / "mnt"));
  proxy_->corrupt_answers_at(1500);
  EXPECT_EQ(EIO, read_error(artifactfs_ / "mnt/large"));
  proxy_->corrupt_answers_at(0, 0);
  EXPECT_EQ(0, failed_reads(artifactfs_ / "mnt")) << artifactfs_.log();
}

TEST_F(BadNetworkTest, ServerThatComesBackIsFound) {
  ASSERT_TRUE(try_mount(artifactfs_ / "mnt"));
  proxy_->set_refuse(true);
  proxy_->drop_connections();
  std::thread later([this] {
    EXPECT_TRUE(eventually([&] { return artifactfs_.status(artifactfs_ / "mnt")["phase"] == "offline"; }));
    proxy_->set_refuse(false);
  });
  EXPECT_EQ(0, read_error(artifactfs_ / "mnt/large"));
  later.join();
  EXPECT_EQ(0, failed_reads(artifactfs_ / "mnt"));
  EXPECT_EQ("ready", artifactfs_.status(artifactfs_ / "mnt")["phase"]);
}

}  // namespace
}  // namespace artifactfs::test
