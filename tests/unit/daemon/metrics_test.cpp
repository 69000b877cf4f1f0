#include "daemon/metrics.h"

#include <gmock/gmock.h>

namespace artifactfs {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Metrics, CountsStoresOnceAndMountsEach) {
  control::MountStatus mount;
  mount.directory = "/a";
  mount.remote = "https://h/r";
  mount.phase = "ready";
  mount.requests = 5;
  mount.blocked_readers = 2;
  control::MountStatus other = mount;
  other.directory = "/b\"";
  control::MountStatus kept;
  kept.directory = "/c";
  kept.phase = "unmounted";
  const std::string text = metrics_text({mount, other, kept});
  EXPECT_THAT(text, HasSubstr("artifactfs_mounts{phase=\"ready\"} 2"));
  EXPECT_THAT(text, HasSubstr("artifactfs_mounts{phase=\"unmounted\"} 1"));
  EXPECT_THAT(text, HasSubstr("artifactfs_server_requests_total{remote=\"https://h/r\"} 5"));
  EXPECT_THAT(text, HasSubstr("# TYPE artifactfs_server_requests_total counter"));
  EXPECT_THAT(text, HasSubstr("artifactfs_blocked_readers{dir=\"/b\\\"\",remote=\"https://h/r\"} 2"));
  EXPECT_THAT(text, Not(HasSubstr("dir=\"/c\"")));
}

}  // namespace
}  // namespace artifactfs
