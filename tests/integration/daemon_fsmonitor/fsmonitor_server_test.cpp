// The hook and the server, asked by real git about an ordinary checkout that stands in for the mount.

#include "daemon/fsmonitor_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "base/fsmonitor_protocol.h"
#include "base/mutex.h"
#include "tests/harness/command.h"
#include "tests/harness/git_repository.h"
#include "tests/harness/temporary_directory.h"
#include "workdir/gitdir.h"

namespace artifactfs::test {
namespace {

using testing::ElementsAre;

/// Knows the tokens "0", "1", ...; what changed since one is all that was added at it or later.
class FakeJournal {
 public:
  void add(std::vector<std::string> paths) {
    MutexLock lock(mutex_);
    changes_.push_back(std::move(paths));
  }
  void break_down() {
    MutexLock lock(mutex_);
    broken_ = true;
  }
  std::vector<std::string> asked() {
    MutexLock lock(mutex_);
    return asked_;
  }
  Result<ChangedPaths> since(std::string_view token) {
    MutexLock lock(mutex_);
    asked_.emplace_back(token);
    if (broken_) return fail(ErrorCode::io, "cannot read the journal", "broken");
    ChangedPaths out;
    out.token = std::to_string(changes_.size());
    const bool is_known = !token.empty() && token.find_first_not_of("0123456789") == std::string_view::npos;
    if (!is_known) {
      out.everything = true;
      return out;
    }
    for (size_t i = std::stoul(std::string(token)); i < changes_.size(); ++i) {
      out.paths.insert(out.paths.end(), changes_[i].begin(), changes_[i].end());
    }
    return out;
  }

 private:
  Mutex mutex_;
  std::vector<std::vector<std::string>> changes_ GUARDED_BY(mutex_);
  std::vector<std::string> asked_ GUARDED_BY(mutex_);
  bool broken_ GUARDED_BY(mutex_) = false;
};

class FsmonitorTest : public testing::Test {
 protected:
  FsmonitorTest() : repository_(directory_ / "work") {
    repository_.write_file("a", "a\n");
    repository_.write_file("d/b", "b\n");
    repository_.commit("first");
    mount_.directory = directory_ / "state of mount's";  // must be quoted for the shell
    mount_.owner = {::getuid(), ::getgid()};
    std::filesystem::create_directory(mount_.directory);
    hook_ = mount_.directory / "fsmonitor";
    std::filesystem::create_symlink(ARTIFACTFS_FSMONITOR, hook_);
    struct stat status {};
    ::stat(repository_.path().c_str(), &status);
    mount_.device = status.st_dev;
    mount_.root_inode = status.st_ino;
    repository_.git({"config", "core.fsmonitor", program_config_value(hook_)});
    repository_.git({"config", "core.fsmonitorHookVersion", "2"});
    repository_.git({"config", "core.untrackedCache", "true"});
  }

  void start() {
    auto server = FsmonitorServer::start(mount_, [this](std::string_view token) { return journal_.since(token); });
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
  }
  std::string ask(const std::string& token, const std::filesystem::path& from) {
    return run({hook_.string(), "2", token}, git_environment(), from);
  }
  std::string status() { return repository_.git({"status", "--porcelain"}); }

  const std::string everything_{"artifactfs:unknown\0/\0", 21};
  TemporaryDirectory directory_;
  GitRepository repository_;
  FsmonitorMount mount_;
  std::filesystem::path hook_;
  FakeJournal journal_;
  std::unique_ptr<FsmonitorServer> server_;
};

TEST_F(FsmonitorTest, SaysWhatChangedSinceTheToken) {
  start();
  journal_.add({"a"});
  journal_.add({"d/b", "d/new/"});
  EXPECT_EQ(ask("0", repository_.path()), std::string("2\0a\0d/b\0d/new/\0", 15));
  EXPECT_EQ(ask("1", repository_.path()), std::string("2\0d/b\0d/new/\0", 13));
  EXPECT_EQ(ask("2", repository_.path()), std::string("2\0", 2));
  EXPECT_EQ(ask("another journal's", repository_.path()), std::string("2\0/\0", 4));
}

TEST_F(FsmonitorTest, GitBelievesIt) {
  start();
  EXPECT_EQ(status(), "");  // git's own first token is unknown: it looks at everything
  repository_.write_file("a", "changed\n");
  EXPECT_EQ(status(), "") << "the journal does not know of it, so git must not have looked";
  journal_.add({"a"});
  EXPECT_EQ(status(), " M a");
  repository_.write_file("d/untracked", "x\n");
  journal_.add({"d/untracked"});
  EXPECT_EQ(status(), " M a\n?? d/untracked");
}

TEST_F(FsmonitorTest, EverythingWhenTheDaemonIsAway) {
  start();
  EXPECT_EQ(status(), "");
  server_.reset();
  EXPECT_EQ(ask("0", repository_.path()), everything_);
  repository_.write_file("a", "changed\n");
  EXPECT_EQ(status(), " M a");
  start();
  EXPECT_EQ(status(), " M a");
}

TEST_F(FsmonitorTest, EverythingWhenTheJournalFails) {
  start();
  journal_.break_down();
  EXPECT_EQ(ask("0", repository_.path()), everything_);
}

TEST_F(FsmonitorTest, EverythingInALinkedWorktree) {
  start();
  EXPECT_EQ(status(), "");
  const std::string linked = (directory_ / "linked").string();
  repository_.git({"worktree", "add", "-q", linked});
  EXPECT_EQ(ask("0", linked), everything_);
  EXPECT_EQ(ask("0", repository_.path() / "d"), everything_);
  EXPECT_EQ(run({"git", "status", "--porcelain"}, git_environment(), linked), "");
  std::ofstream(directory_ / "linked" / "a") << "changed\n";
  EXPECT_EQ(run({"git", "status", "--porcelain"}, git_environment(), linked), " M a\n");
}

TEST_F(FsmonitorTest, EverythingOnAnotherFilesystemWithTheSameInode) {
  mount_.device += 1;
  start();
  EXPECT_EQ(ask("0", repository_.path()), everything_);
}

TEST_F(FsmonitorTest, ManyPathsAreEverything) {
  start();
  journal_.add(std::vector<std::string>(FsmonitorServer::kMaxPaths + 1, "a"));
  EXPECT_EQ(ask("0", repository_.path()), std::string("1\0/\0", 4));
}

TEST_F(FsmonitorTest, VersionOneIsEverything) {
  start();
  EXPECT_EQ(run({hook_.string(), "1", "123"}, git_environment(), repository_.path()), std::string("/\0", 2));
}

TEST_F(FsmonitorTest, OnlyTheOwnerMayAsk) {
  start();
  struct stat status {};
  ASSERT_EQ(::stat((mount_.directory / kFsmonitorSocketName).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(FsmonitorTest, AStalledClientDoesNotOutliveTheServer) {
  start();
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = (mount_.directory / kFsmonitorSocketName).string();
  ASSERT_LT(path.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ASSERT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  server_.reset();  // joins although the client says nothing
  char byte;
  EXPECT_LE(::read(fd, &byte, 1), 0);
  ::close(fd);
}

}  // namespace
}  // namespace artifactfs::test
