// What `remove` would lose: a WritableWorkdir above a repository that the real git made, with its gitdir. "User"
// commands run in the gitdir with a working tree of their own, since nothing is mounted here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "tests/harness/git_repository.h"
#include "tests/harness/temporary_directory.h"
#include "tests/unit/workdir_overlay/overlay_fixture.h"
#include "workdir/git2_object_database.h"
#include "workdir/gitdir.h"
#include "workdir/ignore_rules.h"
#include "workdir/unsaved_work.h"

namespace artifactfs::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class LocalStore final : public Store {
 public:
  LocalStore(TreeIndex& index, ObjectStore& objects, std::filesystem::path git_directory)
      : index_(index), objects_(objects), git_directory_(std::move(git_directory)) {}
  Result<Snapshot> prepare(const std::string&, const ProgressFunction&, Cancellation*) override {
    return fail(ErrorCode::unavailable, "no server");
  }
  std::optional<Snapshot> local_snapshot(const ObjectId&) override { return std::nullopt; }
  std::shared_ptr<void> start_background(const Snapshot&, bool, BackgroundListener) override { return nullptr; }
  TreeIndex& index() override { return index_; }
  BlobStore& blobs() override { std::abort(); }
  ObjectStore& objects() override { return objects_; }
  std::filesystem::path git_directory() const override { return git_directory_; }
  const RemoteUrl& remote() const override { return remote_; }
  StoreStatus status() override { return {}; }
  void shutdown() override {}

 private:
  TreeIndex& index_;
  ObjectStore& objects_;
  const std::filesystem::path git_directory_;
  RemoteUrl remote_;
};

class UnsavedTest : public testing::Test {
 protected:
  UnsavedTest() : origin_(temporary_.path() / "origin") {
    origin_.write_file("README", "readme\n");
    origin_.write_file("src/a.c", "a\n");
    origin_.write_file("src/deep/b.c", "b\n");
    origin_.write_file("src/deep/c.c", "c\n");
    origin_.write_file("tool", "#!/bin/sh\n", true);
    origin_.write_file(".gitignore", "*.o\n/build/\n");
    origin_.make_symlink("link", "README");
    origin_.submodule("lib", "1234567890123456789012345678901234567890");
    snapshot_.commit = ObjectId::from_hex(origin_.commit("base")).value();
    snapshot_.tree = ObjectId::from_hex(origin_.rev_parse("HEAD^{tree}")).value();
    snapshot_.committer_time = 1'700'000'000;
    snapshot_.branch = "main";
    index_ = TreeIndex::open(temporary_.path() / "index.db").value();
    database_ = Git2ObjectDatabase::open(origin_.path() / ".git/objects").value();
    TreeIndex::RawTrees trees;
    collect(snapshot_.tree, trees);
    EXPECT_TRUE(index_->import_trees(snapshot_.tree, trees));
    EXPECT_TRUE(index_->put_commit({snapshot_.commit, snapshot_.tree, snapshot_.committer_time}));
    GitdirSpec spec;
    spec.directory = gitdir();
    spec.store_objects = origin_.path() / ".git/objects";
    spec.remote_url = origin_.path().string();
    spec.branch = spec.upstream_branch = "main";
    spec.commit = snapshot_.commit;
    spec.owner = owner();
    const std::vector<RefRow> refs{{"HEAD", snapshot_.commit, std::nullopt, "refs/heads/main"},
                                   {"refs/heads/main", snapshot_.commit, std::nullopt, std::nullopt}};
    EXPECT_TRUE(create_gitdir(spec, refs, {}));
    git({"read-tree", "HEAD"});
    open();
  }

  // Trees go to `trees`, blobs to the object store.
  void collect(const ObjectId& oid, TreeIndex::RawTrees& trees) {
    GitObject object = database_->read(oid).value();
    if (object.type == ObjectType::tree) {
      const auto entries = parse_raw_tree(oid, object.content).value();
      for (const auto& entry : entries) {
        if (entry.mode != 0160000) collect(entry.oid, trees);
      }
      trees[oid] = std::move(object.content);
    } else {
      objects_.add(oid, std::string(reinterpret_cast<const char*>(object.content.data()), object.content.size()));
    }
  }
  void open() {
    files_.reset();
    workdir_.reset();
    WorkdirOptions options;
    options.directory = workspace();
    options.owner = owner();
    auto store = std::make_shared<LocalStore>(*index_, objects_, origin_.path() / ".git");
    workdir_ = WritableWorkdir::open(store, snapshot_, options).value();
    files_.emplace(*workdir_);
  }
  std::vector<std::string> unsaved() {
    const auto found = workdir_->unsaved_work();
    EXPECT_TRUE(found) << found.error().text();
    return found.value_or(std::vector<std::string>{"failed"});
  }
  void write(const std::string& path, const std::string& content) {
    if (!files_->stat(path)) {
      ASSERT_TRUE(files_->create(path));
    }
    ASSERT_TRUE(files_->truncate(path, 0));
    ASSERT_TRUE(files_->write(path, 0, content));
  }
  std::string git(std::vector<std::string> arguments) {
    std::filesystem::create_directories(work_tree());
    SubprocessOptions options;
    options.argv = {"git", "--git-dir=" + gitdir().string(), "--work-tree=" + work_tree().string(), "-c",
                    "core.fsmonitor=false"};
    options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
    options.environment = git_environment(temporary_.path());
    options.working_directory = work_tree();
    const auto output = run_subprocess(options, {}, Clock::system().now() + std::chrono::seconds(30)).value();
    EXPECT_EQ(output.status, 0) << output.err;
    return output.out;
  }
  // As git would in the mount: the index and a commit of what the mount shows at `path`.
  void stage(const std::string& path, const std::string& content) {
    std::filesystem::create_directories((work_tree() / path).parent_path());
    std::ofstream(work_tree() / path) << content;
    git({"add", "-f", path});
  }
  void commit_and_push() {
    git({"commit", "-qm", "mine"});
    git({"update-ref", "refs/remotes/origin/main", "HEAD"});
  }

  static UserIds owner() { return {::getuid(), ::getgid()}; }
  std::filesystem::path workspace() const { return temporary_.path() / "workspace"; }
  std::filesystem::path gitdir() const { return workspace() / "git"; }
  std::filesystem::path work_tree() const { return temporary_.path() / "tree"; }

  TemporaryDirectory temporary_{"artifactfs-unsaved"};
  GitRepository origin_;
  Snapshot snapshot_;
  std::unique_ptr<TreeIndex> index_;
  std::unique_ptr<Git2ObjectDatabase> database_;
  MemoryObjectStore objects_;
  std::unique_ptr<WritableWorkdir> workdir_;
  std::optional<Files> files_;
};

TEST_F(UnsavedTest, AFreshTreeHasNone) { EXPECT_THAT(unsaved(), IsEmpty()); }

TEST_F(UnsavedTest, EveryKindOfChangeCounts) {
  write("src/a.c", "changed\n");
  EXPECT_THAT(unsaved(), ElementsAre("1 changed file is not committed: 'src/a.c'"));
  ASSERT_TRUE(files_->unlink("README"));
  AttributeChange executable;
  executable.mode = 0755;
  ASSERT_TRUE(files_->setattr("src/deep/b.c", executable));
  ASSERT_TRUE(files_->unlink("link"));
  ASSERT_TRUE(files_->symlink("elsewhere", "link"));
  ASSERT_TRUE(files_->unlink("tool"));
  ASSERT_TRUE(files_->symlink("x", "tool"));
  write("new", "n\n");
  EXPECT_THAT(unsaved(), ElementsAre(testing::StartsWith("6 changed files are not committed, e.g. '")));
  open();
  EXPECT_THAT(unsaved(), ElementsAre(testing::StartsWith("6 changed files are not committed, e.g. '")));
}

TEST_F(UnsavedTest, WhatIsTouchedButNotChangedDoesNotCount) {
  write("src/a.c", "a\n");
  AttributeChange change;
  change.mode = 0600;
  ASSERT_TRUE(files_->setattr("src/deep/b.c", change));
  ASSERT_TRUE(files_->mkdir("empty"));
  ASSERT_TRUE(files_->fs().mknod(files_->caller, kRootInode, "pipe", S_IFIFO | 0600, 0));
  ASSERT_TRUE(files_->rename("src", "moved"));
  ASSERT_TRUE(files_->rename("moved", "src"));
  EXPECT_THAT(unsaved(), IsEmpty());
}

TEST_F(UnsavedTest, WhatIsCommittedAndPushedDoesNotCount) {
  write("src/a.c", "mine\n");
  write("src/new.c", "new\n");
  ASSERT_TRUE(files_->unlink("README"));
  stage("src/a.c", "mine\n");
  stage("src/new.c", "new\n");
  git({"rm", "-q", "--cached", "README"});
  EXPECT_THAT(unsaved(), ElementsAre(HasSubstr("3 changed files are not committed")));
  commit_and_push();
  EXPECT_THAT(unsaved(), IsEmpty());
  write("src/new.c", "newer\n");
  EXPECT_THAT(unsaved(), ElementsAre("1 changed file is not committed: 'src/new.c'"));
  git({"checkout", "-q", "--detach"});
  EXPECT_THAT(unsaved(), ElementsAre("1 changed file is not committed: 'src/new.c'"));
}

TEST_F(UnsavedTest, CommittedButNotPushedIsNamedAsSuch) {
  write("src/a.c", "mine\n");
  stage("src/a.c", "mine\n");
  git({"commit", "-qm", "mine"});
  EXPECT_THAT(unsaved(), ElementsAre("1 commit of branch 'main' not pushed"));
}

TEST_F(UnsavedTest, UntouchedFilesAreSafeWhereverHeadGoes) {
  stage("src/a.c", "mine\n");
  commit_and_push();
  EXPECT_THAT(unsaved(), IsEmpty());
}

TEST_F(UnsavedTest, AMovedDirectoryCountsUntilItIsCommitted) {
  ASSERT_TRUE(files_->rename("src/deep", "far"));
  EXPECT_THAT(unsaved(), ElementsAre(HasSubstr("4 changed files are not committed")));  // two gone, two new
  stage("far/b.c", "b\n");
  stage("far/c.c", "c\n");
  git({"rm", "-qr", "--cached", "src/deep"});
  commit_and_push();
  EXPECT_THAT(unsaved(), IsEmpty());
}

TEST_F(UnsavedTest, ADirectoryMadeAnewIsComparedWithTheOldOne) {
  ASSERT_TRUE(files_->rename("src/deep", "far"));
  ASSERT_TRUE(files_->mkdir("src/deep"));
  write("src/deep/b.c", "b\n");
  ASSERT_TRUE(files_->unlink("far/b.c"));
  ASSERT_TRUE(files_->unlink("far/c.c"));
  EXPECT_THAT(unsaved(), ElementsAre("1 changed file is not committed: 'src/deep/c.c'"));
}

TEST_F(UnsavedTest, KindsThatChangeBetweenFileAndDirectory) {
  ASSERT_TRUE(files_->unlink("README"));
  ASSERT_TRUE(files_->mkdir("README"));
  write("README/inside", "x\n");
  ASSERT_TRUE(files_->unlink("src/deep/b.c"));
  ASSERT_TRUE(files_->unlink("src/deep/c.c"));
  ASSERT_TRUE(files_->rmdir("src/deep"));
  write("src/deep", "now a file\n");
  EXPECT_THAT(unsaved(), ElementsAre(HasSubstr("2 changed files are not committed")));
}

TEST_F(UnsavedTest, AHardLinkUnderANewNameIsANewFile) {
  ASSERT_TRUE(files_->link("src/a.c", "src/again.c"));
  EXPECT_THAT(unsaved(), ElementsAre("1 changed file is not committed: 'src/again.c'"));
}

TEST_F(UnsavedTest, IgnoredFilesDoNotCount) {
  write("src/a.o", "object\n");
  ASSERT_TRUE(files_->mkdir("build"));
  write("build/out", "x\n");
  EXPECT_THAT(unsaved(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(workspace() / "ignore-rules"));
  // Rules below, rules of the overlay, and negations; info/exclude.
  write("src/.gitignore", "!a.o\n");
  EXPECT_THAT(unsaved(), ElementsAre(HasSubstr("2 changed files are not committed")));
  std::ofstream(gitdir() / "info/exclude") << "/src/.gitignore\n";
  EXPECT_THAT(unsaved(), ElementsAre("1 changed file is not committed: 'src/a.o'"));
  // What HEAD has is not ignored, whatever its name.
  stage("src/a.o", "object\n");
  commit_and_push();
  EXPECT_THAT(unsaved(), IsEmpty());
  write("src/a.o", "other\n");
  EXPECT_THAT(unsaved(), ElementsAre("1 changed file is not committed: 'src/a.o'"));
}

TEST_F(UnsavedTest, WithoutTheRulesNewFilesCountByThemselves) {
  write("src/a.o", "object\n");
  write("src/a.c", "changed\n");
  objects_.hold();
  EXPECT_THAT(unsaved(), ElementsAre("1 changed file is not committed: 'src/a.c'",
                                     "1 new file is not committed and may or may not be ignored: 'src/a.o'"));
  objects_.release();
}

TEST_F(UnsavedTest, NamesOfAnyBytes) {
  for (const char* name : {"-x", ":(glob)*", "new\nline", "\xff\xfe", "back\\slash", " ", "!"}) write(name, "x\n");
  EXPECT_THAT(unsaved(), ElementsAre(HasSubstr("7 changed files are not committed")));
  EXPECT_EQ(quoted_path("new\nline\xff\\"), "'new\\012line\\377\\134'");
}

TEST_F(UnsavedTest, StagedOnlyInTheIndex) {
  stage("src/a.c", "staged, then put back\n");
  EXPECT_THAT(unsaved(), ElementsAre("1 staged change is not committed: 'src/a.c'"));
}

TEST_F(UnsavedTest, ARepositoryWithinIsOneThing) {
  ASSERT_TRUE(files_->mkdir("other"));
  ASSERT_TRUE(files_->mkdir("other/.git"));
  write("other/.git/HEAD", "ref: refs/heads/main\n");
  write("other/file", "x\n");
  EXPECT_THAT(unsaved(), ElementsAre("1 changed file is not committed: 'other/'"));
  write(".gitignore", "*.o\n/build/\nother/\n");
  EXPECT_THAT(unsaved(), ElementsAre("1 changed file is not committed: '.gitignore'"));
}

TEST_F(UnsavedTest, AnInitializedSubmoduleIsNamed) {
  write("lib/file", "x\n");
  EXPECT_THAT(unsaved(), ElementsAre("1 submodule has files, which are not looked at: 'lib'"));
}

TEST_F(UnsavedTest, UnbornHead) {
  git({"symbolic-ref", "HEAD", "refs/heads/orphan"});
  git({"read-tree", "--empty"});
  EXPECT_THAT(unsaved(), IsEmpty());
  write("src/a.c", "a of the orphan\n");
  EXPECT_THAT(unsaved(), ElementsAre("1 changed file is not committed: 'src/a.c'"));
}

TEST_F(UnsavedTest, WhatIsInProgressIsSaid) {
  std::ofstream(gitdir() / "MERGE_HEAD") << snapshot_.commit.hex() << "\n";
  EXPECT_THAT(unsaved(), ElementsAre("a merge is in progress"));
  std::filesystem::remove(gitdir() / "MERGE_HEAD");
  std::filesystem::create_directory(gitdir() / "rebase-merge");
  EXPECT_THAT(unsaved(), ElementsAre("a rebase is in progress"));
}

TEST_F(UnsavedTest, ASparseCheckoutMissesNothing) {
  git({"config", "core.sparseCheckout", "true"});
  ASSERT_TRUE(files_->unlink("src/deep/b.c"));
  ASSERT_TRUE(files_->unlink("src/deep/c.c"));
  ASSERT_TRUE(files_->rmdir("src/deep"));
  EXPECT_THAT(unsaved(), IsEmpty());
}

TEST_F(UnsavedTest, ABrokenHeadIsNotTakenForNothing) {
  std::ofstream(gitdir() / "refs/heads/main") << "0123456789012345678901234567890123456789\n";
  write("src/a.c", "x\n");
  EXPECT_FALSE(workdir_->unsaved_work());
}

TEST_F(UnsavedTest, AReadOnlyMountKnowsOfTheOverlayBelow) {
  write("src/a.c", "changed\n");
  files_.reset();
  workdir_.reset();
  WorkdirOptions options;
  options.directory = workspace();
  options.owner = owner();
  options.read_only = true;
  auto store = std::make_shared<LocalStore>(*index_, objects_, origin_.path() / ".git");
  const auto read_only = Workdir::open(store, snapshot_, options).value();
  EXPECT_THAT(read_only->unsaved_work().value(), ElementsAre("1 changed file is not committed: 'src/a.c'"));
}

TEST_F(UnsavedTest, ManyNewFiles) {
  ASSERT_TRUE(files_->mkdir("many"));
  const InodeNumber many = files_->inode("many").value();
  constexpr int kFiles = 40'000;  // more than are asked for in one run of git check-ignore
  for (int i = 0; i < kFiles; ++i) {
    const std::string name = std::to_string(i) + (i % 2 == 0 ? ".o" : ".c");
    ASSERT_TRUE(files_->fs().mknod(files_->caller, many, name, S_IFREG | 0644, 0));
  }
  EXPECT_THAT(unsaved(), ElementsAre(HasSubstr("20000 changed files are not committed, e.g. 'many/")));
}

}  // namespace
}  // namespace artifactfs::test
