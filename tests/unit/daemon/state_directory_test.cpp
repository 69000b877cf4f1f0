#include "daemon/state_directory.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/temporary_directory.h"

namespace artifactfs {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

TEST(StateDirectory, IsMadeAndServesOneAtATime) {
  const test::TemporaryDirectory directory;
  const fs::path root = directory / "a/b";
  {
    const auto first = StateDirectory::open(root);
    ASSERT_TRUE(first) << first.error().text();
    EXPECT_TRUE(fs::is_directory(first->stores()));
    EXPECT_TRUE(fs::is_directory(first->mounts()));
    const auto second = StateDirectory::open(root);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::busy);
    EXPECT_THAT(second.error().text(), HasSubstr("pid " + std::to_string(::getpid())));
  }
  EXPECT_TRUE(StateDirectory::open(root)) << "the lock must go with its holder";
}

TEST(StateDirectory, SaysWhyItCannotBeUsed) {
  const test::TemporaryDirectory directory;
  ASSERT_TRUE(write_file_atomically(directory / "file", "x"));
  const auto in_file = StateDirectory::open(directory / "file/state");
  ASSERT_FALSE(in_file);
  EXPECT_THAT(in_file.error().text(), HasSubstr("cannot use state directory '" + (directory / "file/state").string()));
  const auto unwritable = StateDirectory::open("/proc/artifactfs");
  ASSERT_FALSE(unwritable);
  EXPECT_THAT(unwritable.error().text(), HasSubstr("cannot use state directory '/proc/artifactfs'"));
}

TEST(StateDirectory, LogIsRotatedWhenItHasGrownTooLarge) {
  const test::TemporaryDirectory directory;
  const auto state = StateDirectory::open(directory / "state");
  ASSERT_TRUE(state);
  const fs::path log = state->root() / "daemon.log";
  ASSERT_TRUE(write_file_atomically(log, "old"));
  fs::resize_file(log, StateDirectory::kMaxLogBytes + 1);
  const pid_t child = ::fork();
  if (child == 0) {
    const bool redirected = state->redirect_output_to_log().has_value();
    [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, "new", 3);
    ::_exit(redirected ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_file(log).value(), "new");
  EXPECT_EQ(fs::file_size(state->root() / "daemon.log.1"), StateDirectory::kMaxLogBytes + 1);
}

}  // namespace
}  // namespace artifactfs
