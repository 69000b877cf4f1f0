// Random operations on an overlay and on a plain directory, compared after each round, reopened in between.
// OVERLAY_MODEL_SEED replays one seed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "tests/unit/workdir_overlay/random_operations.h"

namespace artifactfs::test {
namespace {

// A file that both sides hold open.
struct Open {
  UniqueFd fd;
  InodeNumber inode = 0;
};

class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed) {
    ::umask(0);
    std::filesystem::create_directory(root());
    write_model_base(root());
    reopen();
  }

  void round(size_t operations) {
    for (size_t i = 0; i < operations; ++i) {
      step();
      if (testing::Test::HasFailure()) return;
    }
    EXPECT_EQ(files_->tree(), tree_of(root()));
    if (random_() % 4 == 0) reopen();
  }

 private:
  std::filesystem::path root() const { return directory_.path() / "plain"; }

  void reopen() {
    open_.clear();
    files_.reset();
    workdir_.reset();
    if (std::filesystem::exists(base_.directory())) {
      for (const auto& finding : findings_of(base_.directory(), false)) {
        EXPECT_EQ(finding.kind, OverlayFinding::Kind::leftover) << finding.text;
      }
    }
    workdir_ = base_.open();
    files_.emplace(*workdir_);
    for (const auto& finding : findings_of(base_.directory(), false)) ADD_FAILURE() << finding.text;
    EXPECT_EQ(files_->tree(), tree_of(root()));
  }

  void step() {
    const RandomOperation operation = RandomOperation::next(random_);
    const bool expected = operation.apply(root());
    EXPECT_EQ(operation.apply(*files_), expected) << operation.text();
    switch (random_() % 16) {
      case 0:
        return hold(operation.other);
      case 1:
        return write_held(operation);
      case 2:
        return close_one();
      default:
        return forget(operation.path);
    }
  }

  void hold(const std::string& path) {
    UniqueFd fd(::open((root() / path).c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    const auto inode = files_->inode(path);
    if (fd && inode && open_.size() < 8) open_.push_back({std::move(fd), *inode});
  }

  void write_held(const RandomOperation& operation) {
    if (open_.empty()) return;
    const Open& open = open_[random_() % open_.size()];
    EXPECT_EQ(::pwrite(open.fd.get(), operation.data.data(), operation.data.size(), 100),
              static_cast<ssize_t>(operation.data.size()));
    EXPECT_TRUE(files_->write(open.inode, 100, operation.data));
    struct stat st {};
    EXPECT_EQ(::fstat(open.fd.get(), &st), 0);
    const auto attributes = files_->fstat(open.inode).value();
    EXPECT_EQ(attributes.links, st.st_nlink);
    EXPECT_EQ(attributes.size_bytes, static_cast<uint64_t>(st.st_size));
    std::string content(static_cast<size_t>(st.st_size), '\0');
    EXPECT_EQ(::pread(open.fd.get(), content.data(), content.size(), 0), st.st_size);
    EXPECT_EQ(files_->read(open.inode).value(), content);
  }

  void close_one() {
    if (open_.empty()) return;
    const InodeNumber inode = open_.back().inode;
    open_.pop_back();
    forget_inode(inode);
  }

  // The kernel drops what nobody uses.
  void forget(const std::string& path) {
    if (const auto inode = files_->inode(path)) forget_inode(*inode);
  }
  void forget_inode(InodeNumber inode) {
    for (const Open& open : open_) {
      if (open.inode == inode) return;
    }
    workdir_->forget(inode, uint64_t{1} << 40);
  }

  std::mt19937_64 random_;
  TemporaryDirectory directory_{"artifactfs-model"};
  MemoryBase base_{model_base()};
  std::unique_ptr<WritableWorkdir> workdir_;
  std::optional<Files> files_;
  std::vector<Open> open_;
};

TEST(OverlayModel, BehavesAsAPlainDirectory) {
  const char* replay = ::getenv("OVERLAY_MODEL_SEED");
  const uint64_t first = replay != nullptr ? std::strtoull(replay, nullptr, 10) : std::random_device()();
  const size_t seeds = replay != nullptr ? 1 : 6;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    SCOPED_TRACE("OVERLAY_MODEL_SEED=" + std::to_string(seed));
    Model model(seed);
    for (int round = 0; round < 30 && !HasFailure(); ++round) model.round(60);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace artifactfs::test
