#include "fuse/kernel_settings.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "base/unique_fd.h"

namespace artifactfs {
namespace {

std::vector<std::byte> init_request(uint32_t opcode, uint32_t flags, size_t size) {
  fuse_in_header header{};
  header.opcode = opcode;
  fuse_init_in init{};
  init.flags = flags;
  std::vector<std::byte> bytes(sizeof header + sizeof init);
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, &init, sizeof init);
  bytes.resize(size);
  return bytes;
}

// The flags the kernel would see when libfuse answers INIT with `answered`.
uint32_t flags_written(KernelSettings& settings, uint32_t answered) {
  int ends[2];
  EXPECT_EQ(0, ::pipe2(ends, O_CLOEXEC));
  const UniqueFd read_end(ends[0]), write_end(ends[1]);
  fuse_out_header header{};
  fuse_init_out init{};
  init.flags = answered;
  const iovec parts[] = {{&header, sizeof header}, {&init, sizeof init}};
  EXPECT_EQ(static_cast<ssize_t>(sizeof header + sizeof init), settings.write(write_end.get(), parts, 2));
  EXPECT_EQ(static_cast<ssize_t>(sizeof header), ::read(read_end.get(), &header, sizeof header));
  EXPECT_EQ(static_cast<ssize_t>(sizeof init), ::read(read_end.get(), &init, sizeof init));
  return init.flags;
}

TEST(KernelSettings, AnswerToInitGetsWhatLibfuseLeavesOutIfOffered) {
  KernelSettings settings(0);
  ASSERT_TRUE(settings.note_offer(init_request(FUSE_INIT, FUSE_PARALLEL_DIROPS | FUSE_ASYNC_READ, 104)));
  EXPECT_EQ(uint32_t{FUSE_BIG_WRITES | FUSE_PARALLEL_DIROPS}, flags_written(settings, FUSE_BIG_WRITES));
  // Only that one answer.
  EXPECT_EQ(uint32_t{FUSE_BIG_WRITES}, flags_written(settings, FUSE_BIG_WRITES));
}

TEST(KernelSettings, ShortAndForeignRequestsAreNoInit) {
  KernelSettings settings(0);
  EXPECT_FALSE(settings.note_offer({}));
  EXPECT_FALSE(settings.note_offer(init_request(FUSE_INIT, 0, sizeof(fuse_in_header) + 15)));
  EXPECT_TRUE(settings.note_offer(init_request(FUSE_INIT, 0, sizeof(fuse_in_header) + 16)));
  EXPECT_FALSE(settings.note_offer(init_request(FUSE_LOOKUP, 0, 104)));
}

TEST(KernelSettings, ChoosesNoDefaultOfLibfuse) {
  fuse_conn_info info{};
  info.capable = ~0U;
  info.want = FUSE_CAP_ASYNC_READ | FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_WRITEBACK_CACHE;
  KernelSettings(65536).choose(info);
  EXPECT_EQ(unsigned{FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS | FUSE_CAP_CACHE_SYMLINKS}, info.want);
  EXPECT_EQ(65536u, info.max_read);
  EXPECT_EQ(65535u, info.max_background);
  EXPECT_EQ(65535u, info.congestion_threshold);
}

}  // namespace
}  // namespace artifactfs
