#include "workdir/git_index.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <vector>

#include "base/sha1.h"
#include "workdir/index_bytes.h"
#include "workdir/index_directories.h"
#include "workdir/lock_file.h"
#include "workdir/untracked_cache.h"

namespace artifactfs {

namespace {

constexpr uint32_t kVersion = 2;  // as git clone; 4 is smaller but loads no faster (0003-git-index.md)
constexpr size_t kBufferBytes = size_t{256} << 10;
constexpr size_t kMaxNameInFlags = 0xfff;

// Hashes and writes in pieces.
class IndexOutput {
 public:
  explicit IndexOutput(LockFile& file) : file_(file) {}

  std::string& buffer() { return buffer_; }
  Result<void> flush_if_full() { return buffer_.size() >= kBufferBytes ? flush() : Result<void>(); }
  Result<ObjectId> finish() {
    TRY(flush());
    const ObjectId checksum = sha1_.finish();
    TRY(file_.append(checksum.bytes));
    return checksum;
  }

 private:
  Result<void> flush() {
    const auto bytes = std::as_bytes(std::span(buffer_));
    sha1_.update(bytes);
    TRY(file_.append(bytes));
    buffer_.clear();
    return {};
  }
  LockFile& file_;
  Sha1 sha1_;
  std::string buffer_;
};

uint32_t mode_in_index(EntryKind kind) {
  switch (kind) {
    case EntryKind::executable:
      return 0100755;
    case EntryKind::symlink:
      return 0120000;
    case EntryKind::submodule:
      return 0160000;
    default:
      return 0100644;
  }
}

void put_entry(std::string& out, std::string_view directory, const TreeEntry& entry, const IndexStat& stat) {
  const size_t start = out.size();
  put_u32(out, static_cast<uint32_t>(stat.ctime.seconds));
  put_u32(out, stat.ctime.nanoseconds);
  put_u32(out, static_cast<uint32_t>(stat.mtime.seconds));
  put_u32(out, stat.mtime.nanoseconds);
  put_u32(out, stat.device);
  put_u32(out, stat.inode);
  put_u32(out, mode_in_index(entry.kind));
  put_u32(out, stat.uid);
  put_u32(out, stat.gid);
  put_u32(out, index_size(stat.size_bytes));
  put_oid(out, entry.oid);
  const size_t name_bytes = directory.size() + entry.name.size();
  put_u16(out, static_cast<uint16_t>(std::min(name_bytes, kMaxNameInFlags)));
  out.append(directory).append(entry.name);
  out.append(8 - (out.size() - start) % 8, '\0');
}

// The entries of one directory and all below it. Depth first in git's tree order is the index's order.
class EntryWriter {
 public:
  EntryWriter(TreeIndex& trees, IndexStatSource& stats, IndexOutput& output)
      : trees_(trees), stats_(stats), output_(output) {}

  Result<void> write(const ObjectId& root) {
    TRY(enter(root, kRootInode, ""));
    while (!stack_.empty()) {
      Level& level = stack_.back();
      if (level.position == level.tree->size()) {
        path_.resize(level.parent_path_bytes);
        stack_.pop_back();
        continue;
      }
      const size_t position = level.position++;
      const TreeEntry entry = level.tree->entry(position);
      if (entry.kind == EntryKind::directory) {
        TRY(enter(entry.oid, level.inode + entry.rank, entry.name));
      } else {
        put_entry(output_.buffer(), path_, entry, level.stats[position]);
        TRY(output_.flush_if_full());
      }
    }
    return {};
  }

 private:
  struct Level {
    std::shared_ptr<const Tree> tree;
    InodeNumber inode = 0;
    size_t parent_path_bytes = 0;
    size_t position = 0;
    std::vector<IndexStat> stats;
  };

  Result<void> enter(const ObjectId& oid, InodeNumber inode, std::string_view name) {
    Level level;
    TRY_ASSIGN(level.tree, trees_.tree(oid));
    level.inode = inode;
    level.parent_path_bytes = path_.size();
    path_.append(name);
    if (!name.empty()) path_ += '/';
    level.stats.resize(level.tree->size());
    stats_.entries(path_, inode, *level.tree, level.stats);
    stack_.push_back(std::move(level));
    return {};
  }

  TreeIndex& trees_;
  IndexStatSource& stats_;
  IndexOutput& output_;
  std::vector<Level> stack_;
  std::string path_;
};

// "TREE": preorder, each "<name>\0<entries> <subtrees>\n<oid>". git keeps subtrees sorted by length, then bytes.
void put_cache_tree(std::string& out, const std::vector<IndexDirectory>& directories) {
  std::vector<uint32_t> stack = {0};
  while (!stack.empty()) {
    const IndexDirectory& directory = directories[stack.back()];
    stack.pop_back();
    out.append(directory.name) += '\0';
    out.append(std::to_string(directory.entries)).append(" ");
    out.append(std::to_string(directory.children.size())).append("\n");
    put_oid(out, directory.oid);
    std::vector<uint32_t> children = directory.children;
    std::ranges::sort(children, [&](uint32_t a, uint32_t b) {
      const std::string& x = directories[a].name;
      const std::string& y = directories[b].name;
      return x.size() != y.size() ? x.size() > y.size() : x > y;  // the stack turns it round
    });
    stack.insert(stack.end(), children.begin(), children.end());
  }
}

// "FSMN", version 2: the token and a bitmap of the entries that may have changed: none.
void put_fsmonitor(std::string& out, const std::string& token) {
  put_u32(out, 2);
  out.append(token) += '\0';
  std::string bitmap;
  put_bitmap(bitmap, {});
  put_u32(out, static_cast<uint32_t>(bitmap.size()));
  out.append(bitmap);
}

Result<void> put_extension(IndexOutput& output, std::string_view signature, const std::string& content) {
  if (!std::in_range<uint32_t>(content.size())) {
    return fail(ErrorCode::out_of_range, "cannot write the index",
                "extension " + std::string(signature) + " too large");
  }
  output.buffer().append(signature);
  put_u32(output.buffer(), static_cast<uint32_t>(content.size()));
  output.buffer().append(content);
  return output.flush_if_full();
}

// The last 20 bytes of the index; nullopt when there is none.
Result<std::optional<ObjectId>> checksum_of(const std::filesystem::path& path) {
  auto fd = open_file(path, O_RDONLY);
  if (!fd && fd.error().code == ErrorCode::not_found) return std::nullopt;
  if (!fd) return fail(fd.error());
  struct stat status {};
  std::array<std::byte, ObjectId::kBytes> bytes{};
  if (::fstat(fd->get(), &status) != 0) return fail_errno(errno, "cannot read '" + path.string() + "'");
  const uint64_t size_bytes = static_cast<uint64_t>(status.st_size);
  if (size_bytes < bytes.size()) return ObjectId{};  // not an index: nothing equals it
  TRY_ASSIGN(const size_t read, pread_some(fd->get(), bytes, size_bytes - bytes.size()));
  return read == bytes.size() ? ObjectId::from_raw(bytes) : ObjectId{};
}

}  // namespace

Result<std::optional<ObjectId>> write_git_index(const GitIndexSpec& spec, TreeIndex& trees, IndexStatSource& stats,
                                                const std::optional<ObjectId>& expected) {
  const auto path = spec.git_directory / "index";
  TRY_ASSIGN(auto present, checksum_of(path));
  if (present != expected) return std::nullopt;

  // Sizes take seconds to find, and git gives up at once when it meets a lock: it is taken when all is written.
  TRY_ASSIGN(auto file, LockFile::prepare(path));
  TRY_ASSIGN(const auto directories, list_index_directories(trees, spec.tree));
  IndexOutput output(file);
  output.buffer().append("DIRC");
  put_u32(output.buffer(), kVersion);
  put_u32(output.buffer(), directories.front().entries);
  EntryWriter writer(trees, stats, output);
  TRY(writer.write(spec.tree));

  std::string extension;
  put_cache_tree(extension, directories);
  TRY(put_extension(output, "TREE", extension));
  TRY_ASSIGN(extension, untracked_cache(spec, directories, stats));
  TRY(put_extension(output, "UNTR", extension));
  extension.clear();
  put_fsmonitor(extension, spec.fsmonitor_token);
  TRY(put_extension(output, "FSMN", extension));

  TRY_ASSIGN(const ObjectId checksum, output.finish());

  const auto locked = file.lock();
  // Whoever holds index.lock is about to change the index.
  if (!locked && locked.error().code == ErrorCode::already_exists) return std::nullopt;
  if (!locked) return fail(locked.error());
  TRY_ASSIGN(present, checksum_of(path));
  if (present != expected) return std::nullopt;
  // Not durable: the index can be made again. A torn one fails its checksum, and git says so.
  TRY(file.commit(spec.owner, false));
  return checksum;
}

}  // namespace artifactfs
