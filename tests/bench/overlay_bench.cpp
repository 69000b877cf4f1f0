// What the overlay costs without FUSE: overlay_bench [directory]. Prints microseconds an operation, medians of runs.
#include <fmt/format.h>

#include <chrono>
#include <vector>

#include "tests/unit/workdir_overlay/overlay_fixture.h"

namespace artifactfs::test {
namespace {

constexpr int kFiles = 10'000;

template <typename Work>
void measure(const char* what, int count, Work&& work) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) work(i);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
  fmt::print("{:<48} {:8.2f} us\n", what, took.count() / count);
}

void run(const std::filesystem::path& directory) {
  MemoryBase::Files files;
  for (int i = 0; i < kFiles; ++i) files["src/d" + std::to_string(i / 100) + "/f" + std::to_string(i)] = {"content"};
  MemoryBase base(files);
  const auto workdir = base.open(directory);
  Files f(*workdir);
  const Caller caller;
  const InodeNumber source = f.inode("src/d7").value();
  measure("lookup, untouched base entry", 100'000,
          [&](int i) { (void)workdir->lookup(source, "f" + std::to_string(700 + i % 100)); });
  const InodeNumber made = f.mkdir("made").value().inode;
  std::vector<InodeNumber> inodes;
  measure("mknod", kFiles, [&](int i) {
    inodes.push_back(workdir->mknod(caller, made, "file" + std::to_string(i), S_IFREG | 0644, 0).value().inode);
  });
  const std::string page(4096, 'x'), megabyte(1 << 20, 'x');
  measure("first write of 4 KB", kFiles, [&](int i) { (void)f.write(inodes[static_cast<size_t>(i)], 0, page); });
  measure("second write of 4 KB", kFiles, [&](int i) { (void)f.write(inodes[static_cast<size_t>(i)], 0, page); });
  measure("mknod + write of 4 KB, one after the other", kFiles, [&](int i) {
    const auto file = workdir->mknod(caller, made, "both" + std::to_string(i), S_IFREG | 0644, 0).value().inode;
    (void)f.write(file, 0, page);
  });
  measure("lookup, overlay entry", 100'000,
          [&](int i) { (void)workdir->lookup(made, "file" + std::to_string(i % kFiles)); });
  measure("getattr, overlay file", 100'000, [&](int i) { (void)f.fstat(inodes[static_cast<size_t>(i % kFiles)]); });
  measure("lookup, untouched, with 20,000 changes", 100'000,
          [&](int i) { (void)workdir->lookup(source, "f" + std::to_string(700 + i % 100)); });
  measure("unlink (+ forget) of an overlay file", kFiles,
          [&](int i) { (void)workdir->unlink(made, "both" + std::to_string(i)); });
  measure("forget, data removed", kFiles, [&](int i) {
    const InodeNumber inode = inodes[static_cast<size_t>(i)];
    (void)workdir->unlink(made, "file" + std::to_string(i));
    workdir->forget(inode, 1'000'000);
  });
  measure("unlink of an untouched base file", 100,
          [&](int i) { (void)workdir->unlink(source, "f" + std::to_string(700 + i)); });
  const InodeNumber other = f.inode("src/d8").value();
  measure("rename of an untouched base file", 100, [&](int i) {
    (void)workdir->rename(other, "f" + std::to_string(800 + i), made, "r" + std::to_string(i), RenameMode::replace);
  });
  measure("copy-up of a cached 7-byte file (fdatasync)", 100,
          [&](int i) { (void)f.write("src/d9/f" + std::to_string(900 + i), 0, "x"); });
  const InodeNumber large = f.create("large").value().inode;
  measure("write of 1 MB", 512, [&](int i) { (void)f.write(large, static_cast<uint64_t>(i) << 20, megabyte); });
  measure("fsync after a write of 4 KB", 100, [&](int i) {
    (void)f.write(large, static_cast<uint64_t>(i) * 40960, page);
    (void)f.fsync("large");
  });
}

}  // namespace
}  // namespace artifactfs::test

int main(int argc, char** argv) {
  artifactfs::test::run(argc > 1 ? argv[1] : "");
  return 0;
}
