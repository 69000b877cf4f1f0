// The working tree as a Filesystem, without a kernel.
#include "workdir/base_workdir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/unit/workdir/indexed_repository.h"

namespace artifactfs::test {
namespace {

// A Store around the index and objects of an IndexedRepository; what needs a server is not reached here.
class LocalStore final : public Store {
 public:
  LocalStore(IndexedRepository& repository) : repository_(repository), remote_(RemoteUrl{}) {
    remote_.scheme = RemoteScheme::local;
    remote_.path = "/srv/repository.git";
  }
  Result<Snapshot> prepare(const std::string&, const ProgressFunction&, Cancellation*) override {
    return fail(ErrorCode::unavailable, "no server");
  }
  std::optional<Snapshot> local_snapshot(const ObjectId&) override { return std::nullopt; }
  std::shared_ptr<void> start_background(const Snapshot&, bool, BackgroundListener) override { return nullptr; }
  TreeIndex& index() override { return repository_.index(); }
  BlobStore& blobs() override { std::abort(); }
  ObjectStore& objects() override { return repository_.objects(); }
  std::filesystem::path git_directory() const override { return repository_.git().path() / ".git"; }
  const RemoteUrl& remote() const override { return remote_; }
  StoreStatus status() override { return {}; }
  void shutdown() override {}

 private:
  IndexedRepository& repository_;
  RemoteUrl remote_;
};

class BaseWorkdirTest : public testing::Test {
 protected:
  BaseWorkdirTest() {
    auto& git = repository_.git();
    git.write_file("README.md", "hello\n");
    git.write_file("src/main.c", "int main;\n");
    git.write_file("src/deep/er/x", "x");
    git.write_file("src.txt", "sorts between src and src/");
    git.write_file("run.sh", "#!/bin/sh\n", true);
    git.make_symlink("link", "src/main.c");
    git.submodule("sub", "1234567890123456789012345678901234567890");
    git.commit("first");
    open();
  }
  void open() {
    const CommitRow row = repository_.import_head();
    Snapshot snapshot;
    snapshot.commit = row.oid;
    snapshot.tree = row.tree;
    snapshot.committer_time = row.committer_time;
    snapshot.branch = "main";
    snapshot.local_refs = {{"refs/heads/main", row.oid, std::nullopt, std::nullopt}};
    WorkdirOptions options;
    options.directory = repository_.path() / "mount";
    options.owner = {::getuid(), ::getgid()};
    workdir_ = Workdir::open(std::make_shared<LocalStore>(repository_), snapshot, options).value();
  }
  InodeNumber inode(const std::string& path) {
    InodeNumber current = kRootInode;
    size_t begin = 0;
    while (begin < path.size()) {
      const size_t end = std::min(path.find('/', begin), path.size());
      current = workdir_->lookup(current, path.substr(begin, end - begin)).value().inode;
      begin = end + 1;
    }
    return current;
  }
  std::vector<std::string> list(InodeNumber directory, uint64_t cookie = 0) {
    std::vector<std::string> names;
    EXPECT_TRUE(workdir_->read_directory(directory, cookie, [&](const DirectoryEntry& entry) {
      names.emplace_back(entry.name);
      return true;
    }));
    return names;
  }
  Result<Attributes> getattr(InodeNumber number, Ticket* ticket = nullptr) {
    auto out = std::make_shared<Result<Attributes>>(fail(ErrorCode::busy, "parked"));
    Ticket parked = workdir_->getattr(number, [out](Result<Attributes> attributes) { *out = std::move(attributes); });
    if (ticket != nullptr) *ticket = parked;
    return *out;
  }

  IndexedRepository repository_;
  std::unique_ptr<Workdir> workdir_;
};

TEST_F(BaseWorkdirTest, ListsTheTreeWithTheGitfile) {
  EXPECT_THAT(list(kRootInode),
              testing::ElementsAre(".", "..", ".git", "README.md", "link", "run.sh", "src.txt", "src", "sub"));
  EXPECT_THAT(list(inode("src/deep")), testing::ElementsAre(".", "..", "er"));
  EXPECT_THAT(list(inode("sub")), testing::ElementsAre(".", ".."));
}

TEST_F(BaseWorkdirTest, CookiesContinueWhereTheyWereTaken) {
  std::vector<std::pair<std::string, uint64_t>> entries;
  ASSERT_TRUE(workdir_->read_directory(kRootInode, 0, [&](const DirectoryEntry& entry) {
    entries.emplace_back(entry.name, entry.next_cookie);
    return true;
  }));
  for (size_t i = 0; i + 1 < entries.size(); ++i) {
    EXPECT_EQ(list(kRootInode, entries[i].second).front(), entries[i + 1].first);
  }
  EXPECT_TRUE(list(kRootInode, entries.back().second).empty());
}

TEST_F(BaseWorkdirTest, EveryPathHasItsOwnInodeAndFindsItsWayBack) {
  std::set<InodeNumber> seen = {kRootInode, kGitfileInode};
  for (const char* path : {"README.md", "link", "run.sh", "src", "src/deep", "src/deep/er", "src/deep/er/x",
                           "src/main.c", "src.txt", "sub"}) {
    const InodeNumber number = inode(path);
    EXPECT_TRUE(seen.insert(number).second) << path;
    repository_.objects().release_all();
    EXPECT_EQ(getattr(number).value().inode, number) << path;
  }
  EXPECT_EQ(getattr(99'999).error().code, ErrorCode::not_found);
  EXPECT_EQ(getattr(0).error().code, ErrorCode::not_found);
}

TEST_F(BaseWorkdirTest, ModesLinksAndOwnersAreACheckoutS) {
  repository_.objects().release_all();
  EXPECT_EQ(getattr(inode("README.md")).value().mode, S_IFREG | 0644U);
  EXPECT_EQ(getattr(inode("run.sh")).value().mode, S_IFREG | 0755U);
  EXPECT_EQ(getattr(inode("link")).value().mode, S_IFLNK | 0777U);
  EXPECT_EQ(getattr(inode("sub")).value().mode, S_IFDIR | 0755U);
  EXPECT_EQ(getattr(inode("src")).value().links, 3U);
  EXPECT_EQ(getattr(kRootInode).value().links, 4U);
  EXPECT_EQ(getattr(inode("README.md")).value().uid, ::getuid());
}

TEST_F(BaseWorkdirTest, ASizeThatIsUnknownIsAPlaceholderInLookupAndAWaitInGetattr) {
  const InodeNumber readme = inode("README.md");
  EXPECT_FALSE(workdir_->lookup(kRootInode, "README.md").value().size_known);
  Result<Attributes> out = fail(ErrorCode::busy, "parked");
  const Ticket ticket = workdir_->getattr(readme, [&](Result<Attributes> attributes) { out = std::move(attributes); });
  ASSERT_NE(ticket, nullptr);
  EXPECT_EQ(out.error().code, ErrorCode::busy);
  EXPECT_EQ(workdir_->status().blocked_readers, 1U);
  repository_.objects().release(repository_.oid("HEAD:README.md"));
  EXPECT_EQ(out.value().size_bytes, 6U);
  EXPECT_TRUE(out.value().size_known);
  EXPECT_EQ(workdir_->status().blocked_readers, 0U);
  EXPECT_TRUE(workdir_->lookup(kRootInode, "README.md").value().size_known);
}

TEST_F(BaseWorkdirTest, ACancelledWaitLeavesNothing) {
  Result<Attributes> out = fail(ErrorCode::busy, "parked");
  const Ticket ticket =
      workdir_->getattr(inode("README.md"), [&](Result<Attributes> attributes) { out = std::move(attributes); });
  ticket->cancel();
  EXPECT_EQ(out.error().code, ErrorCode::interrupted);
  EXPECT_EQ(workdir_->status().blocked_readers, 0U);
}

TEST_F(BaseWorkdirTest, OnlyTheSecondSizeOfADirectoryAsksForItsSiblings) {
  Ticket first, second;
  (void)getattr(inode("README.md"), &first);
  EXPECT_EQ(repository_.objects().last_siblings(), 0U);
  (void)getattr(inode("run.sh"), &second);
  EXPECT_EQ(repository_.objects().last_siblings(), 4U);  // README.md, link, run.sh, src.txt
  first->cancel();
  second->cancel();
}

TEST_F(BaseWorkdirTest, ReadsAndLinksWaitForTheContent) {
  std::string content, target;
  const Ticket reading = workdir_->read(inode("README.md"), 2, 100, [&](Result<ReadData> data) {
    content.assign(reinterpret_cast<const char*>(data.value().bytes.get()), data.value().size);
  });
  const Ticket link = workdir_->readlink(inode("link"), [&](Result<std::string> text) { target = text.value(); });
  EXPECT_NE(reading, nullptr);
  repository_.objects().release(repository_.oid("HEAD:README.md"));
  repository_.objects().release(repository_.oid("HEAD:link"));
  EXPECT_EQ(content, "llo\n");
  EXPECT_EQ(target, "src/main.c");
}

TEST_F(BaseWorkdirTest, TheGitfileNamesTheGitdir) {
  std::string content;
  const Ticket ticket = workdir_->read(kGitfileInode, 0, 4096, [&](Result<ReadData> data) {
    content.assign(reinterpret_cast<const char*>(data.value().bytes.get()), data.value().size);
  });
  EXPECT_EQ(ticket, nullptr);
  EXPECT_EQ(content, "gitdir: " + workdir_->git_directory().string() + "\n");
  EXPECT_EQ(getattr(kGitfileInode).value().size_bytes, content.size());
}

TEST_F(BaseWorkdirTest, ExtendedAttributesTellOidAndState) {
  const InodeNumber readme = inode("README.md");
  EXPECT_EQ(workdir_->getxattr(readme, "user.artifactfs.oid").value(), repository_.oid("HEAD:README.md").hex());
  EXPECT_EQ(workdir_->getxattr(readme, "user.artifactfs.state").value(), "remote");
  repository_.objects().release_all();
  EXPECT_EQ(workdir_->getxattr(readme, "user.artifactfs.state").value(), "cached");
  EXPECT_EQ(workdir_->getxattr(readme, "user.other").error().code, ErrorCode::no_attribute);
  EXPECT_EQ(workdir_->getxattr(readme, "security.selinux").error().code, ErrorCode::not_supported);
  EXPECT_EQ(workdir_->getxattr(readme, "system.posix_acl_access").error().code, ErrorCode::not_supported);
}

TEST_F(BaseWorkdirTest, WrongKindsAreErrors) {
  EXPECT_EQ(workdir_->lookup(kRootInode, "nothing").error().code, ErrorCode::not_found);
  EXPECT_EQ(workdir_->lookup(inode("README.md"), "x").error().code, ErrorCode::not_directory);
  EXPECT_EQ(workdir_->read_directory(inode("README.md"), 0, [](const auto&) { return true; }).error().code,
            ErrorCode::not_directory);
  ErrorCode code = ErrorCode::internal;
  EXPECT_EQ(workdir_->read(inode("src"), 0, 1, [&](Result<ReadData> data) { code = data.error().code; }), nullptr);
  EXPECT_EQ(code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace artifactfs::test
