// cache_bench: the figures that cache/ is judged by, printed. Not a test; nothing fails.
//
//   cache_bench [--repo <git repository>] [--dir <where to put the files>] [--clock wall|cpu]
//
// With `--clock cpu` the times are the process's CPU time (all threads), for a machine that is busy with other things.
// The repository supplies source text (all blobs of HEAD, by `git cat-file`) for the compression figures.
#include <fmt/format.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/sha1.h"
#include "base/subprocess.h"
#include "cache/blob_store.h"
#include "cache/tree_index.h"

namespace artifactfs {
namespace {

clockid_t measured_clock = CLOCK_MONOTONIC;

double now() {
  timespec time = {};
  ::clock_gettime(measured_clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double seconds(const auto& work) {
  const double begin = now();
  work();
  return now() - begin;
}

void check(const auto& result) {
  if (result) return;
  fmt::print(stderr, "{}\n", result.error().text());
  std::exit(1);
}

ObjectId random_id(std::mt19937_64& random) {
  ObjectId oid;
  for (std::byte& byte : oid.bytes) byte = static_cast<std::byte>(random());
  return oid;
}

std::vector<std::byte> raw_tree(const std::vector<std::tuple<const char*, std::string, ObjectId>>& entries) {
  std::vector<std::byte> raw;
  for (const auto& [mode, name, oid] : entries) {
    const std::string head = std::string(mode) + " " + name + '\0';
    const auto* bytes = reinterpret_cast<const std::byte*>(head.data());
    raw.insert(raw.end(), bytes, bytes + head.size());
    raw.insert(raw.end(), oid.bytes.begin(), oid.bytes.end());
  }
  return raw;
}

void bench_trees(const std::filesystem::path& directory) {
  // 1,000,000 files and directories: 100 x 100 directories of 99 files each.
  std::mt19937_64 random(1);
  TreeIndex::RawTrees raw;
  std::vector<ObjectId> ids;
  const auto add = [&](std::vector<std::byte> bytes) {
    const ObjectId oid = hash_object(ObjectType::tree, bytes);
    raw.emplace(oid, std::move(bytes));
    ids.push_back(oid);
    return oid;
  };
  std::vector<std::tuple<const char*, std::string, ObjectId>> top;
  for (int i = 0; i < 100; ++i) {
    std::vector<std::tuple<const char*, std::string, ObjectId>> middle;
    for (int j = 0; j < 100; ++j) {
      std::vector<std::tuple<const char*, std::string, ObjectId>> leaf;
      for (int k = 0; k < 99; ++k)
        leaf.emplace_back("100644", fmt::format("source_file_{:03}.cpp", k), random_id(random));
      middle.emplace_back("40000", fmt::format("directory_{:03}", j), add(raw_tree(leaf)));
    }
    top.emplace_back("40000", fmt::format("directory_{:03}", i), add(raw_tree(middle)));
  }
  const ObjectId root = add(raw_tree(top));

  const double parse = seconds([&] {
    for (const auto& [oid, bytes] : raw) check(parse_raw_tree(oid, bytes));
  });
  const auto path = directory / "index.db";
  std::unique_ptr<TreeIndex> index;
  fmt::print("index open, new          {:8.2f} ms\n", 1e3 * seconds([&] { index = *TreeIndex::open(path); }));
  const double import = seconds([&] { check(index->import_trees(root, raw)); });
  fmt::print("import 1M entries        {:8.3f} s   (of which parse {:.3f} s; {} trees)\n", import, parse, raw.size());
  fmt::print("import again             {:8.1f} us\n", 1e6 * seconds([&] { check(index->import_trees(root, raw)); }));
  index.reset();
  fmt::print("index open, existing     {:8.2f} ms\n", 1e3 * seconds([&] { index = *TreeIndex::open(path); }));
  std::shuffle(ids.begin(), ids.end(), random);
  const double cold = seconds([&] {
    for (const ObjectId& oid : ids) check(index->tree(oid));
  });
  fmt::print("tree() from SQLite       {:8.2f} us  (100 entries)\n", 1e6 * cold / static_cast<double>(ids.size()));
  std::shared_ptr<const Tree> tree;
  const double warm = seconds([&] {
    for (int i = 0; i < 1'000'000; ++i) tree = *index->tree(root);
  });
  fmt::print("tree() from the LRU      {:8.3f} us\n", warm);
  size_t found = 0;
  const double find = seconds([&] {
    for (int i = 0; i < 1'000'000; ++i) found += tree->find("directory_077").value_or(0);
  });
  const double rank = seconds([&] {
    for (uint64_t i = 1; i <= 1'000'000; ++i) found += tree->find_rank(i).value_or(0);
  });
  fmt::print("find / find_rank         {:8.3f} us / {:.3f} us  (100 entries) {}\n", find, rank, found != 0 ? "" : "!");

  std::vector<std::pair<ObjectId, uint64_t>> sizes(1'000'000);
  for (auto& [oid, size] : sizes) {
    oid = random_id(random);
    size = random() % 100'000;
  }
  fmt::print("put_sizes 1M, new        {:8.3f} s\n", seconds([&] { check(index->put_sizes(sizes)); }));
  fmt::print("put_sizes 1M, again      {:8.3f} s\n", seconds([&] { check(index->put_sizes(sizes)); }));
  std::vector<ObjectId> asked;
  for (size_t i = 0; i < 100'000; ++i) asked.push_back(sizes[random() % sizes.size()].first);
  const double size_time = seconds([&] {
    for (const ObjectId& oid : asked) found += *index->size(oid);
  });
  fmt::print("size()                   {:8.2f} us  (of 1M)\n", 1e6 * size_time / static_cast<double>(asked.size()));
  fmt::print("sizes() of 100k          {:8.3f} s\n", seconds([&] { found += index->sizes(asked).size(); }));
}

std::vector<std::vector<std::byte>> blobs_of(const std::string& repository) {
  SubprocessOptions list;
  list.argv = {"git", "-C", repository, "ls-tree", "-r", "--format=%(objectname)", "HEAD"};
  list.environment = current_environment();
  const auto deadline = Clock::system().now() + std::chrono::minutes(5);
  const auto listed = run_subprocess(list, "", deadline);
  check(listed);
  std::string wanted;
  for (size_t at = 0; at + 41 <= listed->out.size(); at += 41) wanted += listed->out.substr(at, 41);
  list.argv = {"git", "-C", repository, "cat-file", "--batch"};
  const auto got = run_subprocess(list, wanted.substr(0, 41 * 4000), deadline);
  check(got);
  std::vector<std::vector<std::byte>> blobs;
  for (size_t at = 0; at < got->out.size();) {
    const size_t line_end = got->out.find('\n', at);
    const std::string line = got->out.substr(at, line_end - at);
    if (line.find(" blob ") == std::string::npos) break;
    const size_t size = std::stoul(line.substr(line.rfind(' ') + 1));
    const auto* bytes = reinterpret_cast<const std::byte*>(got->out.data()) + line_end + 1;
    blobs.emplace_back(bytes, bytes + size);
    at = line_end + 1 + size + 1;
  }
  return blobs;
}

void bench_compression(const std::vector<std::vector<std::byte>>& blobs) {
  size_t total = 0;
  for (const auto& blob : blobs) total += blob.size();
  const auto megabytes = static_cast<double>(total) / 1e6;
  for (const int level : {1, 3}) {
    ZSTD_CCtx* compressor = ::ZSTD_createCCtx();
    ZSTD_DCtx* decompressor = ::ZSTD_createDCtx();
    std::vector<std::vector<std::byte>> stored;
    size_t stored_bytes = 0;
    for (const auto& blob : blobs) stored.emplace_back(::ZSTD_compressBound(blob.size()));
    const double compress = seconds([&] {
      for (size_t i = 0; i < blobs.size(); ++i) {
        stored[i].resize(::ZSTD_compressCCtx(compressor, stored[i].data(), stored[i].size(), blobs[i].data(),
                                             blobs[i].size(), level));
        stored_bytes += stored[i].size();
      }
    });
    std::vector<std::byte> content(64 << 20);
    const double decompress = seconds([&] {
      for (const auto& frame : stored) {
        ::ZSTD_decompressDCtx(decompressor, content.data(), content.size(), frame.data(), frame.size());
      }
    });
    fmt::print(
        "zstd level {}             compress {:.0f} MB/s, ratio {:.2f}, decompress {:.0f} MB/s ({} blobs, {:.1f} MB)\n",
        level, megabytes / compress, static_cast<double>(total) / static_cast<double>(stored_bytes),
        megabytes / decompress, blobs.size(), megabytes);
    ::ZSTD_freeCCtx(compressor);
    ::ZSTD_freeDCtx(decompressor);
  }
  uLong sum = 0;
  const double crc = seconds([&] {
    for (const auto& blob : blobs) sum = ::crc32_z(sum, reinterpret_cast<const Bytef*>(blob.data()), blob.size());
  });
  fmt::print("crc32                    {:8.0f} MB/s {}\n", megabytes / crc, sum != 0 ? "" : "!");
}

void bench_blobs(const std::filesystem::path& directory, const std::vector<std::vector<std::byte>>& blobs) {
  std::unique_ptr<BlobStore> store;
  fmt::print("blob store open, new     {:8.2f} ms\n",
             1e3 * seconds([&] { store = *BlobStore::open(directory / "b"); }));
  std::vector<ObjectId> ids;
  size_t total = 0;
  for (const auto& blob : blobs) {
    ids.push_back(hash_object(ObjectType::blob, blob));
    total += blob.size();
  }
  const auto count = static_cast<double>(blobs.size());
  const auto megabytes = static_cast<double>(total) / 1e6;
  const double put = seconds([&] {
    for (size_t i = 0; i < blobs.size(); ++i) check(store->put(ids[i], blobs[i]));
  });
  fmt::print("put source blobs         {:8.2f} us each, {:.0f} MB/s\n", 1e6 * put / count, megabytes / put);
  fmt::print("flush                    {:8.2f} ms\n", 1e3 * seconds([&] { check(store->flush()); }));
  const auto stats = store->stats();
  fmt::print("on disk                  {:8.2f} MB of {:.2f} MB\n", static_cast<double>(stats.disk_bytes) / 1e6,
             static_cast<double>(stats.content_bytes) / 1e6);
  std::vector<std::byte> into(64 << 20);
  const double whole = seconds([&] {
    for (const ObjectId& oid : ids) check(store->read(oid, 0, into));
  });
  fmt::print("read whole, warm disk    {:8.2f} us each, {:.0f} MB/s\n", 1e6 * whole / count, megabytes / whole);

  std::mt19937_64 random(5);
  std::vector<std::byte> tiny(100);
  std::vector<ObjectId> many;
  const double small = seconds([&] {
    for (int i = 0; i < 200'000; ++i) {
      const uint64_t salt = random();
      std::memcpy(tiny.data(), &salt, sizeof salt);
      many.push_back(random_id(random));
      check(store->put(many.back(), tiny));
    }
  });
  fmt::print("put of 100 bytes         {:8.2f} us each (200k)\n", 1e6 * small / 2e5);
  check(store->flush());
  store.reset();
  fmt::print("blob store open, existing{:8.2f} ms (200k blobs)\n",
             1e3 * seconds([&] { store = *BlobStore::open(directory / "b"); }));
  std::shuffle(many.begin(), many.end(), random);
  size_t found = 0;
  const double first = seconds([&] {
    for (const ObjectId& oid : many) found += store->find(oid).value_or(0);
  });
  fmt::print("find from SQLite         {:8.2f} us\n", 1e6 * first / 2e5);
  const double again = seconds([&] {
    for (int i = 0; i < 1'000'000; ++i) found += store->find(many[static_cast<size_t>(199'000 + i % 1000)]).value_or(0);
  });
  fmt::print("find of recent           {:8.2f} us\n", again);
  const double absent = seconds([&] {
    for (int i = 0; i < 100'000; ++i) found += store->find(random_id(random)).value_or(0);
  });
  fmt::print("find of absent           {:8.2f} us\n", 1e6 * absent / 1e5);
  fmt::print("missing() of 200k        {:8.3f} s {}\n", seconds([&] { found += store->missing(many).size(); }),
             found != 0 ? "" : "!");
  const double tiny_reads = seconds([&] {
    for (const ObjectId& oid : many) check(store->read(oid, 0, into));
  });
  fmt::print("read of 100 bytes        {:8.2f} us each\n", 1e6 * tiny_reads / 2e5);

  for (const bool compressible : {true, false}) {
    std::vector<std::byte> large;
    while (large.size() < (size_t{256} << 20)) {
      if (compressible) {
        const auto& blob = blobs[random() % blobs.size()];
        large.insert(large.end(), blob.begin(), blob.end());
      } else {
        const uint64_t salt = random();
        const auto* bytes = reinterpret_cast<const std::byte*>(&salt);
        large.insert(large.end(), bytes, bytes + sizeof salt);
      }
    }
    const ObjectId oid = random_id(random);
    const double write = seconds([&] { check(store->put(oid, large)); });
    const auto size = static_cast<double>(large.size()) / 1e6;
    const auto read_by = [&](size_t step) {
      return size / seconds([&] {
               for (size_t at = 0; at < large.size(); at += step)
                 check(store->read(oid, at, std::span(into).first(step)));
             });
    };
    const char* kind = compressible ? "text" : "random";
    fmt::print("large {:6}             put {:.0f} MB/s; read by 1 MiB {:.0f} MB/s, by 128 KiB {:.0f} MB/s\n", kind,
               size / write, read_by(1 << 20), read_by(128 << 10));
  }
}

}  // namespace
}  // namespace artifactfs

int main(int argc, char** argv) {
  std::string repository = "/work/.mirror/git+git/repo";
  std::string parent = std::filesystem::temp_directory_path();
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--repo") == 0) repository = argv[i + 1];
    if (std::strcmp(argv[i], "--dir") == 0) parent = argv[i + 1];
    if (std::strcmp(argv[i], "--clock") == 0 && std::strcmp(argv[i + 1], "cpu") == 0) {
      artifactfs::measured_clock = CLOCK_PROCESS_CPUTIME_ID;
    }
  }
  std::string directory = parent + "/cache-bench-XXXXXX";
  if (::mkdtemp(directory.data()) == nullptr) return 1;
  artifactfs::bench_trees(directory);
  const auto blobs = artifactfs::blobs_of(repository);
  artifactfs::bench_compression(blobs);
  artifactfs::bench_blobs(directory, blobs);
  std::filesystem::remove_all(directory);
  return 0;
}
