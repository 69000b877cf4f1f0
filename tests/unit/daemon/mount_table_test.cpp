#include "daemon/mount_table.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "tests/harness/temporary_directory.h"
#include "tests/unit/daemon/fake_rooms.h"

namespace artifactfs {
namespace {

namespace fs = std::filesystem;
using control::MountRequest;
using control::MountStatus;
using test::FakeWorld;
using testing::HasSubstr;
using testing::Not;

class MountTableTest : public testing::Test {
 protected:
  MountTableTest() : base_(fs::canonical(directory_.path())), target_((base_ / "target").string()) {
    fs::create_directories(target_);
    start();
  }

  void start() {
    table_.reset();
    state_.reset();
    state_ = std::make_unique<StateDirectory>(StateDirectory::open(base_ / "state").value());
    table_ = std::make_unique<MountTable>(*state_, world_.rooms(), [this] {
      ++changes_;
      changes_.notify_all();
    });
  }

  MountRequest request(const std::string& remote = "https://host/r.git") const {
    MountRequest out;
    out.remote = remote;
    out.directory = target_;
    out.working_directory = "/";
    return out;
  }

  Result<MountStatus> mount(const MountRequest& what) {
    Cancellation cancellation;
    return table_->mount(
        what, MountTable::Recovery::yes, [](const std::string&) {}, cancellation);
  }

  std::string phase() const {
    const auto all = table_->status();
    return all.empty() ? "" : all.front().phase;
  }

  void wait_for_phase(const std::string& wanted) {
    for (int seen = changes_; phase() != wanted; seen = changes_) changes_.wait(seen);
  }

  void expect_nothing_left() {
    EXPECT_TRUE(fs::is_empty(state_->stores()));
    EXPECT_TRUE(fs::is_empty(state_->mounts()));
    EXPECT_EQ(world_.sessions, 0);
    EXPECT_EQ(world_.workdirs, 0);
    EXPECT_EQ(world_.stores, 0);
    EXPECT_EQ(table_->active(), 0U);
    EXPECT_TRUE(table_->status().empty());
  }

  test::TemporaryDirectory directory_;
  const fs::path base_;
  const std::string target_;
  FakeWorld world_;
  std::atomic<int> changes_ = 0;
  std::unique_ptr<StateDirectory> state_;
  std::unique_ptr<MountTable> table_;
};

TEST_F(MountTableTest, MountsAndShowsIt) {
  const auto status = mount(request("https://alice:secret@host/r.git"));
  ASSERT_TRUE(status) << status.error().text();
  EXPECT_EQ(status->phase, "ready");
  EXPECT_EQ(status->branch, "main");
  EXPECT_EQ(status->commit, test::fake_commit().hex());
  EXPECT_EQ(table_->status().at(0), *status);
  EXPECT_EQ(table_->active(), 1U);
  EXPECT_THAT(status->remote, Not(HasSubstr("secret")));
  const auto stored = read_file(state_->mounts() / status->mount_id / "mount.json");
  ASSERT_TRUE(stored);
  EXPECT_THAT(*stored, Not(HasSubstr("secret")));
  EXPECT_THAT(*stored, Not(HasSubstr("alice"))) << "a token may stand in place of the user's name";
}

TEST_F(MountTableTest, AFailureAtAnyStepLeavesNothingBehind) {
  for (const char* step : {"open_store", "prepare", "open_workdir", "start_git_services", "mount_session"}) {
    SCOPED_TRACE(step);
    world_.fail_next(step);
    const auto status = mount(request());
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().text(), HasSubstr("cannot mount 'https://host/r.git' on '" + target_ + "'"));
    expect_nothing_left();
  }
  EXPECT_TRUE(mount(request())) << "and the next attempt succeeds";
}

TEST_F(MountTableTest, BadInputLeavesNothingBehind) {
  auto missing_ref = request();
  missing_ref.ref = "no-such-ref";
  auto missing_directory = request();
  missing_directory.directory = target_ + "/missing";
  auto in_state = request();
  in_state.directory = (base_ / "state/mounts").string();
  auto not_empty = request();
  not_empty.directory = base_.string();
  auto bad_option = request();
  bad_option.options.extra = {"no_such_option"};
  auto bad_url = request("gopher://x/y");
  auto bytes = request();
  bytes.directory = target_ + "\xff";
  for (const auto& bad : {missing_ref, missing_directory, in_state, not_empty, bad_option, bad_url, bytes}) {
    const auto status = mount(bad);
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().text(), HasSubstr("cannot "));
    EXPECT_THAT(status.error().text(), Not(HasSubstr("\n")));
    expect_nothing_left();
  }
}

TEST_F(MountTableTest, AStoreLingersForTheNextMountOfTheSameCaller) {
  auto mine = request();
  mine.environment = {"HOME=/home/alice"};
  ASSERT_TRUE(mount(mine));
  ASSERT_TRUE(table_->unmount(target_, false));
  EXPECT_EQ(world_.stores, 1) << "still open";
  ASSERT_TRUE(mount(mine));
  EXPECT_EQ(world_.stores_opened, 1);
  ASSERT_TRUE(table_->unmount(target_, false));

  auto other = request();
  other.environment = {"HOME=/home/bob"};
  ASSERT_TRUE(mount(other)) << "another environment may hold another secret";
  EXPECT_EQ(world_.stores_opened, 2);
  EXPECT_EQ(world_.stores, 1);
  ASSERT_TRUE(table_->remove(target_, true));
  ASSERT_TRUE(table_->collect_garbage());
  EXPECT_EQ(world_.stores, 0) << "garbage is closed before it is deleted";
  EXPECT_TRUE(fs::is_empty(state_->stores()));
}

TEST(StoreTableTest, AStoreIsClosedWhenItHasLingered) {
  test::TemporaryDirectory directory;
  FakeWorld world;
  const Rooms rooms = world.rooms();
  StoreTable table(directory.path(), rooms, std::chrono::milliseconds(1));
  const auto remote = RemoteUrl::parse("https://host/r.git");
  ASSERT_TRUE(remote);
  for (int i = 0; i < 3; ++i) {
    auto store = table.open("r", *remote, {});
    ASSERT_TRUE(store);
    table.keep("r");
    store->reset();
    while (world.stores != 0) std::this_thread::yield();
  }
  EXPECT_EQ(world.stores_opened, 3);
}

TEST_F(MountTableTest, AFailedMountSparesAStoreThatOthersUse) {
  ASSERT_TRUE(mount(request()));
  auto other = request();
  other.directory = (base_ / "other").string();
  fs::create_directories(other.directory);
  world_.fail_next("mount_session");
  ASSERT_FALSE(mount(other));
  EXPECT_FALSE(fs::is_empty(state_->stores()));
  ASSERT_TRUE(mount(other));
  EXPECT_EQ(world_.stores, 1) << "one store a remote";
}

TEST_F(MountTableTest, ADirectoryIsMountedOnce) {
  ASSERT_TRUE(mount(request()));
  const auto again = mount(request());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::already_exists);
  EXPECT_EQ(world_.sessions, 1);
}

TEST_F(MountTableTest, TwoAtOnceOneWinsAndCancellingItLeavesNothing) {
  world_.hold_prepare = true;
  Cancellation cancellation;
  Result<MountStatus> first = fail(ErrorCode::internal, "");
  std::thread mounting([&] {
    first = table_->mount(
        request(), MountTable::Recovery::yes, [](const std::string&) {}, cancellation);
  });
  while (!world_.holding) std::this_thread::yield();
  EXPECT_EQ(phase(), "mounting");
  const auto second = mount(request());
  const auto unmounted = table_->unmount(target_, true);
  cancellation.cancel();
  mounting.join();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::busy);
  ASSERT_FALSE(unmounted);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, ErrorCode::cancelled);
  expect_nothing_left();
}

TEST_F(MountTableTest, UnmountKeepsTheWorkspaceAndTheSameRemoteResumesIt) {
  auto first = request();
  first.ref = "topic";
  ASSERT_TRUE(mount(first));
  ASSERT_TRUE(table_->unmount(target_, false));
  EXPECT_EQ(phase(), "unmounted");
  EXPECT_EQ(world_.workdirs, 0);
  const int asked = world_.prepares;
  const auto resumed = mount(request());
  ASSERT_TRUE(resumed) << resumed.error().text();
  EXPECT_EQ(resumed->branch, "topic");
  EXPECT_EQ(world_.prepares, asked) << "the commit is local";
  EXPECT_EQ(table_->status().size(), 1U);
}

TEST_F(MountTableTest, AKeptWorkspaceIsNotTakenForAnotherRemoteOrRef) {
  ASSERT_TRUE(mount(request()));
  ASSERT_TRUE(table_->unmount(target_, false));
  auto other_ref = request();
  other_ref.ref = "topic";
  for (const auto& other : {other_ref, request("https://host/other.git"), request("https://bob@host/r.git")}) {
    const auto refused = mount(other);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().text(), HasSubstr("artifactfs remove " + target_));
  }
  world_.fail_next("mount_session");
  ASSERT_FALSE(mount(request()));
  EXPECT_EQ(phase(), "unmounted") << "a failed resumption keeps the workspace";
  auto same_ref = request();
  same_ref.ref = "main";
  EXPECT_TRUE(mount(same_ref));
}

TEST_F(MountTableTest, ABusyMountStaysUnlessForced) {
  ASSERT_TRUE(mount(request()));
  world_.busy = true;
  const auto refused = table_->unmount(target_, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::busy);
  EXPECT_THAT(refused.error().text(), HasSubstr("--force"));
  EXPECT_EQ(phase(), "ready");
  ASSERT_TRUE(table_->unmount(target_, true));
  EXPECT_EQ(phase(), "unmounted");
  const auto again = table_->unmount(target_, false);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::not_found);
}

TEST_F(MountTableTest, RemoveSparesUnsavedWorkUnlessForced) {
  ASSERT_TRUE(mount(request()));
  world_.set_unsaved({"2 commits on 'main' are not pushed", "'a' is not committed"});
  const auto refused = table_->remove(target_, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::not_empty);
  EXPECT_THAT(refused.error().text(), HasSubstr("2 commits on 'main' are not pushed; 'a' is not committed"));
  EXPECT_EQ(phase(), "ready") << "a refused remove does not unmount";
  ASSERT_TRUE(table_->unmount(target_, false));
  ASSERT_FALSE(table_->remove(target_, false)) << "nor does it delete what is not mounted";
  world_.knows_commit = false;
  EXPECT_THAT(table_->remove(target_, false).error().text(), HasSubstr("cannot be seen"));
  ASSERT_TRUE(table_->remove(target_, true));
  EXPECT_TRUE(fs::is_empty(state_->mounts()));
  EXPECT_EQ(table_->remove(target_, true).error().code, ErrorCode::not_found);
}

TEST_F(MountTableTest, GcDropsTheStoresThatNoWorkspaceNames) {
  ASSERT_TRUE(mount(request()));
  EXPECT_TRUE(table_->collect_garbage().value().removed_stores.empty());
  ASSERT_TRUE(table_->unmount(target_, false));
  EXPECT_TRUE(table_->collect_garbage().value().removed_stores.empty()) << "a kept workspace needs its store";
  ASSERT_TRUE(table_->remove(target_, false));
  EXPECT_EQ(table_->collect_garbage().value().removed_stores.size(), 1U);
  EXPECT_TRUE(fs::is_empty(state_->stores()));
}

TEST_F(MountTableTest, GcDeletesNothingWhileAWorkspaceCannotBeRead) {
  ASSERT_TRUE(mount(request()));
  ASSERT_TRUE(table_->unmount(target_, false));
  const fs::path file = state_->mounts() / mount_id_of(target_) / "mount.json";
  ASSERT_TRUE(write_file_atomically(file, "{"));
  EXPECT_FALSE(table_->collect_garbage());
  EXPECT_FALSE(fs::is_empty(state_->stores()));
  EXPECT_EQ(mount(request()).error().code, ErrorCode::corrupt);
}

TEST_F(MountTableTest, UnmountedByHandItIsKeptAndNotBroughtBack) {
  ASSERT_TRUE(mount(request()));
  world_.end_session(target_);
  wait_for_phase("unmounted");
  EXPECT_EQ(world_.sessions, 0);
  start();
  table_->start_recovery();
  EXPECT_EQ(phase(), "unmounted");
  EXPECT_FALSE(table_->recovering());
}

TEST_F(MountTableTest, TheNextDaemonBringsBackWhatWasUp) {
  const auto before = mount(request());
  ASSERT_TRUE(before);
  const int asked = world_.prepares;
  world_.busy = true;  // a stop detaches what is in use
  start();
  EXPECT_EQ(world_.sessions, 0);
  EXPECT_EQ(phase(), "unmounted");
  table_->start_recovery();
  wait_for_phase("ready");
  EXPECT_EQ(table_->status().at(0).commit, before->commit);
  EXPECT_EQ(table_->status().at(0).branch, before->branch);
  EXPECT_EQ(world_.prepares, asked) << "offline";
}

TEST_F(MountTableTest, WhatCannotBeBroughtBackIsShownAndTriedAgain) {
  ASSERT_TRUE(mount(request()));
  start();
  world_.fail_next("mount_session");
  table_->start_recovery();
  wait_for_phase("failed");
  EXPECT_THAT(table_->status().at(0).last_error, HasSubstr("told to fail"));
  EXPECT_EQ(table_->active(), 0U);
  start();
  table_->start_recovery();
  wait_for_phase("ready");
  start();
  world_.fail_next("open_workdir");
  table_->start_recovery();
  wait_for_phase("failed");
  EXPECT_TRUE(mount(request())) << "the user may mend it";
}

TEST_F(MountTableTest, AForegroundMountIsNotBroughtBack) {
  Cancellation cancellation;
  ASSERT_TRUE(table_->mount(
      request(), MountTable::Recovery::no, [](const std::string&) {}, cancellation));
  start();
  table_->start_recovery();
  EXPECT_FALSE(table_->recovering());
  EXPECT_EQ(phase(), "unmounted");
}

TEST_F(MountTableTest, ShutdownCancelsMountsAndRefusesNewOnes) {
  world_.hold_prepare = true;
  Result<MountStatus> first = fail(ErrorCode::internal, "");
  std::thread mounting([&] { first = mount(request()); });
  while (!world_.holding) std::this_thread::yield();
  table_->shutdown();
  mounting.join();
  EXPECT_FALSE(first);
  EXPECT_FALSE(mount(request()));
  expect_nothing_left();
}

TEST_F(MountTableTest, OnlyRootMountsForOthers) {
  auto other = request();
  other.options.uid = 12345;
  const auto status = mount(other);
  EXPECT_EQ(status.has_value(), ::geteuid() == 0);
}

}  // namespace
}  // namespace artifactfs
