// Contents: writing, truncating, holes, mappings and copies, in a mount as on ext4.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "tests/integration/fuse/mounted.h"
#include "tests/integration/fuse_write/side_by_side.h"

namespace artifactfs::test {
namespace {

class ContentsTest : public SideBySide {};

// "D0-4096 H4096-8192 ...": as lseek(2) sees it.
std::string map_of(int fd) {
  Text text;
  for (off_t at = 0;;) {
    const off_t data = ::lseek(fd, at, SEEK_DATA);
    if (data < 0) return (text << said(-1)).string();
    const off_t hole = ::lseek(fd, data, SEEK_HOLE);
    text << std::to_string(data) << "-" << std::to_string(hole) << " ";
    at = hole;
  }
}

TEST_F(ContentsTest, WritingIsSeenBySizeBlocksAndTimes) {
  same([](const std::string& root) {
    Text text;
    for (const char* name : {"new", "c", "d", "f/f/f"}) {
      const UniqueFd fd = open_at(root + name, O_CREAT | O_RDWR);
      const auto around = [&](const std::function<void()>& change) {
        text << times_around(root + name, change) << " ";
        text << look(root + name) << "\n";
      };
      around([&] { text << said(::pwrite(fd.get(), "one", 3, 0)); });
      around([&] { text << said(::pwrite(fd.get(), "two", 3, 10'000)); });
      around([&] { text << said(::pwrite(fd.get(), "", 0, 0)); });
      around([&] { text << said(::ftruncate(fd.get(), 5000)); });
      around([&] { text << said(::ftruncate(fd.get(), 5000)); });
      around([&] { text << said(::truncate((root + name).c_str(), 70'000)); });
      around([&] { text << content(root + name).substr(4990, 100); });
      around([&] { open_at(root + name, O_WRONLY | O_TRUNC); });
      around([&] { text << said(::pwrite(fd.get(), "x", 1, 1)); });
      text << content(root + name) << "\n";
    }
    return text.string();
  });
}

TEST_F(ContentsTest, OffsetsAndErrors) {
  same([](const std::string& root) {
    const UniqueFd fd = open_at(root + "c", O_RDWR), reading = open_at(root + "d", O_RDONLY);
    Text text;
    text << said(::pwrite(fd.get(), "x", 1, -1)) << said(::ftruncate(fd.get(), -1));
    text << said(::write(reading.get(), "x", 1)) << said(::ftruncate(reading.get(), 0));
    text << said(::truncate((root + "a").c_str(), 0)) << said(::truncate((root + "missing").c_str(), 0));
    text << said(::lseek(fd.get(), 0, SEEK_END)) << said(::write(fd.get(), "tail", 4))
         << said(::lseek(fd.get(), 0, SEEK_CUR));
    text << said(::pwrite(fd.get(), "far", 3, off_t{1} << 32)) << look(root + "c");
    std::array<char, 8> buffer{};
    text << said(::pread(fd.get(), buffer.data(), 8, (off_t{1} << 32) - 2));
    return (text << content(root + "b/c") << (open_at(root + "a", O_RDWR) ? "ok" : said(-1))).string();
  });
}

TEST_F(ContentsTest, VectorsAndLargePieces) {
  same([](const std::string& root) {
    const UniqueFd fd = open_at(root + "large", O_CREAT | O_RDWR);
    std::vector<char> bytes(5 * 1024 * 1024 + 17);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7919 >> 8);
    Text text;
    text << said(::pwrite(fd.get(), bytes.data(), bytes.size(), 3)) << look(root + "large");
    std::vector<char> back(bytes.size());
    text << said(::pread(fd.get(), back.data(), back.size(), 3)) << (back == bytes ? "equal" : "different");
    const std::array<iovec, 3> parts = {iovec{bytes.data(), 10}, {bytes.data(), 5000}, {bytes.data(), 1}};
    return (text << said(::pwritev(fd.get(), parts.data(), 3, 4095))
                 << std::to_string(std::hash<std::string>()(content(root + "large"))))
        .string();
  });
}

TEST_F(ContentsTest, TwoProcessesAppendWithoutLoss) {
  same([](const std::string& root) {
    constexpr int kLines = 400;
    const auto append = [&](const char* line) {
      return in_child([&] {
        const UniqueFd fd = open_at(root + "c", O_WRONLY | O_APPEND);
        int whole = 0;
        for (int i = 0; i < kLines; ++i) whole += ::write(fd.get(), line, 8) == 8 ? 1 : 0;
        return std::to_string(whole);
      });
    };
    std::string other;
    std::thread second([&] { other = append("bbbbbbb\n"); });
    Text text;
    text << append("aaaaaaa\n");
    second.join();
    const std::string all = content(root + "c");
    int a = 0, b = 0;
    for (size_t at = 4; at < all.size(); at += 8) {
      a += all.compare(at, 8, "aaaaaaa\n") == 0 ? 1 : 0;
      b += all.compare(at, 8, "bbbbbbb\n") == 0 ? 1 : 0;
    }
    return (text << " " << other << " " << std::to_string(all.size()) << " " << std::to_string(a) << " "
                 << std::to_string(b))
        .string();
  });
}

TEST_F(ContentsTest, HolesAreKeptAndFound) {
  same([](const std::string& root) {
    const UniqueFd fd = open_at(root + "sparse", O_CREAT | O_RDWR);
    Text text;
    text << map_of(fd.get());
    text << said(::ftruncate(fd.get(), 1 << 20)) << map_of(fd.get()) << look(root + "sparse");
    text << said(::pwrite(fd.get(), "x", 1, 500'000)) << map_of(fd.get()) << look(root + "sparse");
    text << said(::fallocate(fd.get(), 0, 0, 8192)) << look(root + "sparse");
    text << said(::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 1 << 20, 8192)) << look(root + "sparse");
    text << said(::fallocate(fd.get(), 0, 1 << 20, 4096)) << look(root + "sparse");
    text << said(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 499'712, 4096)) << map_of(fd.get());
    text << said(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE, 0, 4096)) << said(::fallocate(fd.get(), 0, 0, 0));
    text << said(::fallocate(fd.get(), 0, -1, 4096)) << said(::posix_fallocate(fd.get(), 0, 100'000))
         << look(root + "sparse");
    text << said(::lseek(fd.get(), 2 << 20, SEEK_DATA)) << said(::lseek(fd.get(), 2 << 20, SEEK_HOLE));
    const UniqueFd base = open_at(root + "d", O_RDWR);
    text << map_of(base.get()) << said(::fallocate(base.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10, 5000));
    text << look(root + "d") << std::to_string(std::hash<std::string>()(content(root + "d")));
    text << said(::fallocate(base.get(), FALLOC_FL_ZERO_RANGE, 8000, 2000)) << look(root + "d")
         << content(root + "d").substr(7990, 30);
    return text.string();
  });
}

TEST_F(ContentsTest, SharedMappingsAreWrittenAndRead) {
  same([](const std::string& root) {
    Text text;
    for (const char* name : {"d", "made"}) {
      const UniqueFd fd = open_at(root + name, O_CREAT | O_RDWR);
      text << said(::ftruncate(fd.get(), 20'000));
      char* const map = static_cast<char*>(::mmap(nullptr, 20'000, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
      if (map == MAP_FAILED) return said(-1);
      std::copy_n("mapped", 6, map + 4094);
      std::array<char, 8> buffer{};
      text << said(::pread(fd.get(), buffer.data(), 6, 4094)) << buffer.data();  // before any msync
      text << said(::pwrite(fd.get(), "WRITTEN", 7, 12'000)) << std::string(map + 12'000, 7);
      map[1] = '!';
      text << said(::msync(map, 20'000, MS_SYNC));
      text << in_child([&] { return content(root + name).substr(4094, 6); }) << look(root + name, false);
      map[19'999] = 'e';
      text << said(::munmap(map, 20'000)) << content(root + name).substr(19'999) << "\n";
    }
    return text.string();
  });
  // What was written through the mapping is the daemon's, not only the kernel's.
  Files files(*workdir_);
  EXPECT_EQ("mapped", files.read("made").value().substr(4094, 6));
  EXPECT_EQ('e', files.read("made").value().back());
}

TEST_F(ContentsTest, PrivateMappingsStayPrivate) {
  same([](const std::string& root) {
    const UniqueFd fd = open_at(root + "d", O_RDONLY);
    char* const map = static_cast<char*>(::mmap(nullptr, 9000, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd.get(), 0));
    if (map == MAP_FAILED) return said(-1);
    map[5] = 'P';
    const UniqueFd writing = open_at(root + "d", O_WRONLY);
    Text text;
    text << said(::pwrite(writing.get(), "new", 3, 8000)) << std::string(map + 8000, 3) << map[5];
    text << content(root + "d")[5];
    return (text << said(::munmap(map, 9000))).string();
  });
}

TEST_F(ContentsTest, CopyFileRange) {
  same([](const std::string& root) {
    Text text;
    // Of an untouched file, of a changed one, into an untouched one; from offsets, beyond the end.
    const std::array<std::array<const char*, 2>, 4> pairs = {{{"d", "new"}, {"new", "c"}, {"a/a/b", "d"}, {"c", "c"}}};
    for (const auto& [from, to] : pairs) {
      const UniqueFd in = open_at(root + from, O_RDONLY), out = open_at(root + to, O_CREAT | O_RDWR);
      off64_t in_offset = 3, out_offset = 20'000;
      size_t copied = 0;
      ssize_t n;
      while ((n = ::copy_file_range(in.get(), &in_offset, out.get(), &out_offset, 4000 - copied, 0)) > 0) {
        copied += static_cast<size_t>(n);
      }
      text << said(n) << std::to_string(copied) << look(root + to, false);
      text << std::to_string(std::hash<std::string>()(content(root + to))) << "\n";
    }
    const UniqueFd in = open_at(root + "c", O_RDONLY), out = open_at(root + "c", O_RDWR);
    off64_t in_offset = 0, out_offset = 2;
    return (text << said(::copy_file_range(in.get(), &in_offset, out.get(), &out_offset, 100, 0))).string();
  });
}

TEST_F(ContentsTest, SyncIsAnswered) {
  same([](const std::string& root) {
    const UniqueFd fd = open_at(root + "c", O_RDWR), base = open_at(root + "d", O_RDONLY);
    const UniqueFd directory = open_at(root + "a", O_RDONLY | O_DIRECTORY);
    Text text;
    text << said(::write(fd.get(), "x", 1)) << said(::fsync(fd.get())) << said(::fdatasync(fd.get()));
    const UniqueFd synchronous = open_at(root + "sync", O_CREAT | O_WRONLY | O_SYNC);
    return (text << said(::write(synchronous.get(), "x", 1)) << said(::fsync(base.get()))
                 << said(::fsync(directory.get())) << said(::syncfs(fd.get())))
        .string();
  });
}

TEST_F(ContentsTest, DirectWritesAndReads) {
  same([](const std::string& root) {
    const UniqueFd fd = open_at(root + "d", O_RDWR | O_DIRECT);
    void* aligned = nullptr;
    if (::posix_memalign(&aligned, 4096, 8192) != 0) return std::string("no memory");
    std::fill_n(static_cast<char*>(aligned), 8192, 'D');
    Text text;
    text << said(::pwrite(fd.get(), aligned, 4096, 4096)) << look(root + "d", false);
    text << said(::pread(fd.get(), aligned, 8192, 0)) << static_cast<char*>(aligned)[4095]
         << static_cast<char*>(aligned)[4096];
    ::free(aligned);
    return (text << content(root + "d").substr(4090, 12)).string();
  });
}

TEST_F(ContentsTest, LocksHoldBetweenProcesses) {
  same([](const std::string& root) {
    const UniqueFd fd = open_at(root + "c", O_RDWR);
    Text text;
    text << said(::flock(fd.get(), LOCK_EX | LOCK_NB));
    const auto other_flock = [&](int how) {
      return in_child([&] { return said(::flock(open_at(root + "c", O_RDWR).get(), how | LOCK_NB)); });
    };
    text << other_flock(LOCK_EX) << other_flock(LOCK_SH) << said(::flock(fd.get(), LOCK_SH)) << other_flock(LOCK_SH);
    text << said(::flock(fd.get(), LOCK_UN)) << other_flock(LOCK_EX);

    struct flock range {};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    range.l_start = 10;
    range.l_len = 10;
    text << said(::fcntl(fd.get(), F_SETLK, &range));
    const auto other_lock = [&](off_t start, short type) {
      return in_child([&] {
        struct flock wanted {};
        wanted.l_type = type;
        wanted.l_whence = SEEK_SET;
        wanted.l_start = start;
        wanted.l_len = 5;
        const UniqueFd mine = open_at(root + "c", O_RDWR);
        Text result;
        result << said(::fcntl(mine.get(), F_SETLK, &wanted));
        ::fcntl(mine.get(), F_GETLK, &wanted);
        return (result << std::to_string(wanted.l_type) << std::to_string(wanted.l_start)).string();
      });
    };
    text << other_lock(12, F_WRLCK) << other_lock(12, F_RDLCK) << other_lock(20, F_WRLCK);
    open_at(root + "c", O_RDONLY);  // closing any descriptor of the file lets go of them, says POSIX
    return (text << other_lock(12, F_WRLCK)).string();
  });
}

TEST_F(ContentsTest, ProgramsWorkAsElsewhere) {
  same([](const std::string& root) {
    return output_of(
        "exec 2>&1; cd " + root +
        " && umask 022 && cp -a d copy && cp -r a a2 && mv a2 b/a3 && sed -i s/four/five/ c && cat c && "
        "echo more >>c && tee new <c >/dev/null && ln c hard && ln -s c soft && cat soft && rm -rf f && "
        "tar cf - a b | (mkdir out && cd out && tar xf -) && diff -r a out/a && dd if=d of=direct bs=4k conv=fsync "
        "2>/dev/null && install -m 755 d bin && sort -o c c && truncate -s 100k sparse && cp --sparse=always sparse s2 "
        "&& "
        "find . -name .git -prune -o -printf '%P %m %n %s %y\\n' | grep -v ' d$' | sort | grep -v '^ ' && rm -r out && "
        "ls");
  });
}

}  // namespace
}  // namespace artifactfs::test
