// A partial clone whose base blobs exist only in a projected object directory, used by real git through a real mount.

#include "workdir/projected_objects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "base/mutex.h"
#include "fuse/session.h"
#include "tests/harness/command.h"
#include "tests/harness/git_repository.h"
#include "tests/harness/temporary_directory.h"
#include "workdir/git2_object_database.h"

namespace artifactfs::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

/// "Fetches" from a repository; notes what was asked for.
class RepositoryStore final : public ObjectStore {
 public:
  explicit RepositoryStore(const std::filesystem::path& objects)
      : database_(std::move(*Git2ObjectDatabase::open(objects))) {}
  std::set<ObjectId> take_fetched() {
    MutexLock lock(mutex_);
    return std::exchange(fetched_, {});
  }
  std::optional<uint64_t> size_now(const ObjectId& oid) override {
    MutexLock lock(mutex_);
    return cached_.contains(oid) ? database_->size(oid) : std::nullopt;
  }
  std::vector<std::optional<uint64_t>> sizes_now(std::span<const ObjectId> oids) override {
    std::vector<std::optional<uint64_t>> out;
    for (const auto& oid : oids) out.push_back(size_now(oid));
    return out;
  }
  Ticket size(const ObjectId& oid, std::span<const ObjectId>, Duration, Completion<uint64_t> done) override {
    done(*database_->size(oid));
    return nullptr;
  }
  Ticket read(const ObjectId& oid, uint64_t offset, size_t size, Duration, Completion<ReadData> done) override {
    {
      MutexLock lock(mutex_);
      if (cached_.insert(oid).second) fetched_.insert(oid);
    }
    auto object = database_->read(oid);
    if (!object) {
      done(fail(object.error()));
      return nullptr;
    }
    const auto begin = std::min<uint64_t>(offset, object->content.size());
    ReadData out;
    out.size = static_cast<size_t>(std::min<uint64_t>(size, object->content.size() - begin));
    out.bytes = std::make_unique<std::byte[]>(out.size);
    if (out.size != 0) std::memcpy(out.bytes.get(), object->content.data() + begin, out.size);
    done(std::move(out));
    return nullptr;
  }
  bool is_cached(const ObjectId& oid) override {
    MutexLock lock(mutex_);
    return cached_.contains(oid);
  }

 private:
  std::unique_ptr<Git2ObjectDatabase> database_;
  Mutex mutex_;
  std::set<ObjectId> cached_ GUARDED_BY(mutex_), fetched_ GUARDED_BY(mutex_);
};

class ProjectedObjectsTest : public testing::Test {
 protected:
  ProjectedObjectsTest() : origin_(directory_ / "origin") {
    for (int i = 0; i < 60; ++i) origin_.write_file("d" + std::to_string(i % 5) + "/f" + std::to_string(i), line(i));
    origin_.write_file("edited", "base\n");
    origin_.write_file("big", std::string(300'000, 'b') + "\n");
    origin_.commit("base");
    origin_.git({"checkout", "-q", "-b", "topic"});
    origin_.write_file("from topic", "topic\n");
    origin_.commit("topic");
    origin_.checkout("main");
    origin_.bare_clone(directory_ / "served.git");
    const auto clone = (directory_ / "clone").string();
    // The checked out files are there, their blobs are not: as in a mount.
    run({"git", "clone", "-q", "--filter=blob:none", "file://" + (directory_ / "served.git").string(), clone},
        git_environment());
    for (const auto& pack : std::filesystem::directory_iterator(directory_ / "clone/.git/objects/pack")) {
      std::filesystem::permissions(pack.path(), std::filesystem::perms::owner_write,
                                   std::filesystem::perm_options::add);
    }
    remove_blobs();
    // Nothing can be fetched behind our back.
    std::filesystem::rename(directory_ / "served.git", directory_ / "away.git");
    store_ = std::make_unique<RepositoryStore>(directory_ / "away.git/objects");
    objects_ = std::make_unique<ProjectedObjects>(*store_, blobs(), UserIds{}, std::chrono::seconds(10));
    std::filesystem::create_directory(directory_ / "objects");
    FuseOptions options;
    options.source = "objects";
    options.open_reads = true;
    auto session = FuseSession::mount(directory_ / "objects", options, *objects_, [] {});
    if (!session) throw std::runtime_error(session.error().text());
    session_ = std::move(*session);
    std::ofstream(directory_ / "clone/.git/objects/info/alternates") << (directory_ / "objects").string() << "\n";
    git({"config", "gc.auto", "0"});
    git({"config", "user.name", "a"});
    git({"config", "user.email", "a@example.com"});
  }
  ~ProjectedObjectsTest() override {
    if (session_) {
      EXPECT_TRUE(session_->unmount(true));
    }
  }

  static std::string line(int i) { return "content of " + std::to_string(i) + "\n"; }
  std::string git(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "git");
    return run(arguments, git_environment(), directory_ / "clone");
  }
  void write(const std::string& name, const std::string& content) {
    std::ofstream(directory_ / "clone" / name) << content;
  }
  std::vector<ObjectId> blobs() {
    std::istringstream lines(origin_.git({"ls-tree", "-r", "main", "--format=%(objectname)"}));
    std::vector<ObjectId> oids;
    for (std::string hex; std::getline(lines, hex);) oids.push_back(*ObjectId::from_hex(hex));
    return oids;
  }
  /// The checkout fetched a pack of blobs: its lazy fetch. The other one has commits and trees.
  void remove_blobs() {
    for (const auto& entry : std::filesystem::directory_iterator(directory_ / "clone/.git/objects/pack")) {
      if (entry.path().extension() != ".idx") continue;
      const std::string listing =
          run({"git", "show-index"}, git_environment(), "/", read_file(entry.path()).value_or(""));
      const std::string blob = origin_.rev_parse("main:edited");
      if (listing.find(blob) == std::string::npos) continue;
      for (const char* suffix : {".idx", ".pack", ".promisor", ".rev"}) {
        std::filesystem::remove(std::filesystem::path(entry.path()).replace_extension(suffix));
      }
    }
  }
  ObjectId oid_of(const std::string& name) { return *ObjectId::from_hex(origin_.rev_parse("main:" + name)); }

  TemporaryDirectory directory_;
  GitRepository origin_;
  std::unique_ptr<RepositoryStore> store_;
  std::unique_ptr<ProjectedObjects> objects_;
  std::unique_ptr<FuseSession> session_;
};

TEST_F(ProjectedObjectsTest, ACommitFetchesNothing) {
  write("new", "new\n");
  git({"add", "new"});
  git({"commit", "-q", "-m", "new"});
  EXPECT_THAT(store_->take_fetched(), IsEmpty());
  EXPECT_EQ(git({"ls-tree", "-r", "--name-only", "HEAD"}).size(),
            origin_.git({"ls-tree", "-r", "--name-only", "main"}).size() + 5);
}

TEST_F(ProjectedObjectsTest, DiffAndStashFetchWhatTheyShow) {
  write("edited", "changed\n");
  EXPECT_THAT(git({"diff"}), testing::HasSubstr("-base\n+changed\n"));
  EXPECT_THAT(store_->take_fetched(), UnorderedElementsAre(oid_of("edited")));
  git({"stash"});
  EXPECT_EQ(git({"status", "--porcelain"}), "");
  git({"stash", "pop"});
  EXPECT_EQ(git({"status", "--porcelain"}), " M edited\n");
  EXPECT_THAT(store_->take_fetched(), IsEmpty());
}

TEST_F(ProjectedObjectsTest, RepackAndGcOpenNothing) {
  write("new", "new\n");
  git({"add", "new"});
  git({"commit", "-q", "-m", "new"});
  git({"repack", "-q", "-a", "-d", "-l"});
  git({"gc", "-q"});
  EXPECT_THAT(store_->take_fetched(), IsEmpty());
  git({"fsck", "--connectivity-only"});
  EXPECT_THAT(store_->take_fetched(), IsEmpty());
}

TEST_F(ProjectedObjectsTest, FsckFindsEveryObjectWhole) {
  git({"fsck"});
  EXPECT_EQ(store_->take_fetched().size(), 62u);
}

TEST_F(ProjectedObjectsTest, ContentIsWhole) {
  EXPECT_EQ(git({"show", "HEAD:big"}), std::string(300'000, 'b') + "\n");
  EXPECT_EQ(git({"show", "HEAD:d3/f3"}), line(3));
  EXPECT_EQ(store_->take_fetched().size(), 2u);
}

}  // namespace
}  // namespace artifactfs::test
