// How fast PackReader takes a pack apart. Contents go to an unlinked temporary file, from which bases are read back.
#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <ctime>
#include <unordered_map>
#include <vector>

#include "base/unique_fd.h"
#include "fetch/pack_reader.h"

namespace artifactfs {
namespace {

constexpr size_t kSliceBytes = size_t{64} << 10;  // what a transport hands over at a time

class FileSink : public PackSink {
 public:
  FileSink() {
    char name[] = "/tmp/pack-reader-bench-XXXXXX";
    fd_ = UniqueFd(::mkstemp(name));
    ::unlink(name);
  }
  Result<void> begin_object(ObjectType, uint64_t size_bytes) override {
    begin_ = content_bytes;
    content_bytes += size_bytes;
    written_ = begin_;
    return {};
  }
  Result<void> content(std::span<const std::byte> chunk) override {
    TRY(pwrite_all(fd_.get(), chunk, written_));
    written_ += chunk.size();
    return {};
  }
  Result<void> end_object(const ObjectId& oid, uint64_t, uint32_t) override {
    places_.emplace(oid, begin_);
    return {};
  }
  Result<size_t> read_base(const ObjectId& oid, ObjectType, uint64_t offset, std::span<std::byte> into) override {
    ++base_reads;
    return pread_some(fd_.get(), into, places_.at(oid) + offset);
  }
  uint64_t content_bytes = 0;
  uint64_t base_reads = 0;

 private:
  UniqueFd fd_;
  uint64_t begin_ = 0, written_ = 0;
  std::unordered_map<ObjectId, uint64_t> places_;
};

Result<void> run(const char* path, const PackReaderLimits& limits) {
  TRY_ASSIGN(const UniqueFd file, open_file(path, O_RDONLY));
  std::vector<std::byte> slice(kSliceBytes);
  FileSink sink;
  PackReader reader(sink, limits);
  const std::clock_t begin = std::clock();
  for (uint64_t offset = 0;;) {
    TRY_ASSIGN(const size_t n, pread_some(file.get(), slice, offset));
    if (n == 0) break;
    offset += n;
    TRY(reader.feed(std::span<const std::byte>(slice).first(n)));
  }
  TRY(reader.finish());
  // Of the CPU, so that it means something on a busy machine.
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  fmt::print("{} objects, pack {:.1f} MB, content {:.1f} MB, {:.2f} s of CPU: {:.0f} MB/s of content; {} base reads\n",
             reader.objects_done(), static_cast<double>(reader.bytes_fed()) / 1e6,
             static_cast<double>(sink.content_bytes) / 1e6, seconds,
             static_cast<double>(sink.content_bytes) / 1e6 / seconds, sink.base_reads);
  return {};
}

}  // namespace
}  // namespace artifactfs

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  artifactfs::PackReaderLimits limits;
  if (argc > 2) limits.base_cache_bytes = static_cast<uint64_t>(std::atoll(argv[2])) << 20;
  const auto result = artifactfs::run(argv[1], limits);
  if (!result) fmt::print(stderr, "{}\n", result.error().text());
  return result ? 0 : 1;
}
