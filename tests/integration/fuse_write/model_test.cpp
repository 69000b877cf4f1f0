// Seeded random operations through the kernel, on a mount and on ext4, compared after each round, remounted in between.
// FUSE_WRITE_MODEL_SEED replays one seed, FUSE_WRITE_MODEL_ROUNDS says for how long.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <random>

#include "tests/integration/fuse_write/side_by_side.h"

namespace artifactfs::test {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class ModelTest : public SideBySide {
 protected:
  void SetUp() override {
    seed_ = from_environment("FUSE_WRITE_MODEL_SEED", std::random_device()());
    rounds_ = from_environment("FUSE_WRITE_MODEL_ROUNDS", 20);
    random_.seed(seed_);
    RecordProperty("seed", std::to_string(seed_));
    SideBySide::SetUp();
    ::umask(0);
  }
  std::string replay() const { return "FUSE_WRITE_MODEL_SEED=" + std::to_string(seed_); }

  uint64_t seed_ = 0, rounds_ = 0;
  std::mt19937_64 random_;
};

TEST_F(ModelTest, TreesAreEqualAfterRandomOperations) {
  for (uint64_t round = 0; round < rounds_; ++round) {
    for (int i = 0; i < 300; ++i) {
      const RandomOperation operation = RandomOperation::next(random_);
      const bool expected = operation.apply(std::filesystem::path(plain()));
      const int expected_errno = errno;
      ASSERT_EQ(expected, operation.apply(std::filesystem::path(root()))) << operation.text() << " " << replay();
      if (!expected) {
        ASSERT_EQ(expected_errno, errno) << operation.text() << " " << replay();
      }
      if (random_() % 8 == 0) {
        ASSERT_EQ(look(plain() + operation.path, false), look(root() + operation.path, false))
            << operation.text() << " " << replay();
      }
    }
    if (round % 4 == 3) {
      unmount();
      mount();
    }
    auto mounted = tree_of(root());
    std::erase_if(mounted, [](const std::string& line) { return line.starts_with(".git "); });
    ASSERT_EQ(tree_of(plain()), mounted) << replay();
  }
}

// As fsx: one file, every way to change and to see its content.
TEST_F(ModelTest, ContentIsEqualAfterRandomAccess) {
  constexpr off_t kMost = 200'000;
  for (const char* name : {"d", "made"}) {
    UniqueFd expected = open_at(plain() + name, O_CREAT | O_RDWR), fd = open_at(root() + name, O_CREAT | O_RDWR);
    for (uint64_t i = 0; i < rounds_ * 100; ++i) {
      const auto offset = static_cast<off_t>(random_() % kMost);
      const auto size = static_cast<size_t>(1 + random_() % (random_() % 4 == 0 ? 60'000 : 5000));
      const std::string data(size, static_cast<char>('a' + random_() % 26));
      const auto other = static_cast<off_t>(random_() % kMost);
      const uint64_t kind = random_() % 9;
      const auto change = [&](int file) -> std::string {
        struct stat st {};
        ::fstat(file, &st);
        switch (kind) {
          case 0:
          case 1:
            return said(::pwrite(file, data.data(), size, offset));
          case 2:
            return said(::ftruncate(file, offset));
          case 3: {
            std::string back(size, 0);
            const ssize_t n = ::pread(file, back.data(), size, offset);
            return said(n) + back;
          }
          case 4: {  // through a mapping, within the file
            if (st.st_size == 0) return "";
            const auto length = static_cast<size_t>(st.st_size);
            char* const map = static_cast<char*>(::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
            if (map == MAP_FAILED) return said(-1);
            const size_t at = static_cast<size_t>(offset) % length;
            const size_t count = std::min(size, length - at);
            std::copy_n(data.data(), count, map + at);
            const std::string seen(map, length);
            return said(::munmap(map, length)) + seen;
          }
          case 5:
            return said(
                ::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, static_cast<off_t>(size)));
          case 6:
            return said(::fallocate(file, FALLOC_FL_ZERO_RANGE | (other % 2 == 0 ? FALLOC_FL_KEEP_SIZE : 0), offset,
                                    static_cast<off_t>(size)));
          case 7: {
            off64_t from = offset, to = other;
            size_t left = size;
            std::string text;
            while (left > 0) {
              const ssize_t n = ::copy_file_range(file, &from, file, &to, left, 0);
              if (n <= 0) return said(n);
              left -= static_cast<size_t>(n);
            }
            return text;
          }
          default:
            return said(::fallocate(file, other % 2 == 0 ? FALLOC_FL_KEEP_SIZE : 0, offset, static_cast<off_t>(size)));
        }
      };
      ASSERT_EQ(change(expected.get()), change(fd.get())) << "step " << i << " kind " << kind << " " << replay();
      struct stat one {
      }, two{};
      ::fstat(expected.get(), &one);
      ::fstat(fd.get(), &two);
      ASSERT_EQ(one.st_size, two.st_size) << "step " << i << " kind " << kind << " " << replay();
      if (i % 50 == 0) {
        ASSERT_EQ(content(plain() + name), content(root() + name)) << "step " << i << " " << replay();
      }
      if (i % 500 == 499) {
        fd.reset();
        unmount();
        mount();
        fd = open_at(root() + name, O_RDWR);
        ASSERT_EQ(content(plain() + name), content(root() + name)) << "remounted, step " << i << " " << replay();
      }
    }
  }
}

}  // namespace
}  // namespace artifactfs::test
