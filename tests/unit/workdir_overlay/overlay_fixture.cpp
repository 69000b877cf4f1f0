#include "tests/unit/workdir_overlay/overlay_fixture.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "base/sha1.h"
#include "tests/unit/cache/raw_tree_builder.h"

namespace artifactfs::test {

namespace {

// What needs a server is not reached here.
class LocalStore final : public Store {
 public:
  LocalStore(TreeIndex& index, ObjectStore& objects) : index_(index), objects_(objects) {}
  Result<Snapshot> prepare(const std::string&, const ProgressFunction&, Cancellation*) override {
    return fail(ErrorCode::unavailable, "no server");
  }
  std::optional<Snapshot> local_snapshot(const ObjectId&) override { return std::nullopt; }
  std::shared_ptr<void> start_background(const Snapshot&, bool, BackgroundListener) override { return nullptr; }
  TreeIndex& index() override { return index_; }
  BlobStore& blobs() override { std::abort(); }
  ObjectStore& objects() override { return objects_; }
  std::filesystem::path git_directory() const override { return {}; }
  const RemoteUrl& remote() const override { return remote_; }
  StoreStatus status() override { return {}; }
  void shutdown() override {}

 private:
  TreeIndex& index_;
  ObjectStore& objects_;
  RemoteUrl remote_;
};

}  // namespace

// ---- MemoryObjectStore

class MemoryObjectStore::Parked final : public ParkedOperation {
 public:
  explicit Parked(std::move_only_function<void(bool)> action) : action_(std::move(action)) {}
  void run(bool released) {
    std::move_only_function<void(bool)> action;
    {
      MutexLock lock(mutex_);
      action = std::exchange(action_, nullptr);
    }
    if (action) action(released);
  }
  void cancel() noexcept override { run(false); }

 private:
  Mutex mutex_;
  std::move_only_function<void(bool)> action_ GUARDED_BY(mutex_);
};

void MemoryObjectStore::release() {
  held_ = false;
  std::vector<std::shared_ptr<Parked>> parked;
  {
    MutexLock lock(mutex_);
    parked.swap(parked_);
  }
  for (const auto& one : parked) one->run(true);
}

size_t MemoryObjectStore::waiting() {
  MutexLock lock(mutex_);
  return parked_.size();
}

Ticket MemoryObjectStore::answer(std::move_only_function<void(bool)> action) {
  ++requests_;
  if (!held_) {
    action(true);
    return nullptr;
  }
  auto parked = std::make_shared<Parked>(std::move(action));
  MutexLock lock(mutex_);
  parked_.push_back(parked);
  return parked;
}

std::optional<uint64_t> MemoryObjectStore::size_now(const ObjectId& oid) {
  if (held_) return std::nullopt;
  return blobs_.at(oid).size();
}

std::vector<std::optional<uint64_t>> MemoryObjectStore::sizes_now(std::span<const ObjectId> oids) {
  std::vector<std::optional<uint64_t>> out;
  for (const auto& oid : oids) out.push_back(size_now(oid));
  return out;
}

Ticket MemoryObjectStore::size(const ObjectId& oid, std::span<const ObjectId>, Duration, Completion<uint64_t> done) {
  return answer([this, oid, done = std::move(done)](bool released) mutable {
    if (!released) return done(fail(ErrorCode::interrupted, "", "interrupted"));
    done(blobs_.at(oid).size());
  });
}

Ticket MemoryObjectStore::read(const ObjectId& oid, uint64_t offset, size_t size, Duration, Completion<ReadData> done) {
  return answer([this, oid, offset, size, done = std::move(done)](bool released) mutable {
    if (!released) return done(fail(ErrorCode::interrupted, "", "interrupted"));
    const std::string& content = blobs_.at(oid);
    ReadData data;
    if (offset < content.size()) {
      data.size = std::min(size, content.size() - static_cast<size_t>(offset));
      data.bytes = std::make_unique<std::byte[]>(data.size);
      std::memcpy(data.bytes.get(), content.data() + offset, data.size);
    }
    done(std::move(data));
  });
}

// ---- MemoryBase

MemoryBase::MemoryBase(const Files& files) {
  index_ = TreeIndex::open(temporary_.path() / "index.db").value();
  TreeIndex::RawTrees trees;
  snapshot_.tree = build(files, "", trees);
  snapshot_.committer_time = 1'600'000'000;
  snapshot_.branch = "main";
  EXPECT_TRUE(index_->import_trees(snapshot_.tree, trees));
}

ObjectId MemoryBase::build(const Files& files, const std::string& prefix, TreeIndex::RawTrees& trees) {
  RawTreeBuilder builder;
  for (auto it = files.lower_bound(prefix); it != files.end() && it->first.starts_with(prefix);) {
    const std::string rest = it->first.substr(prefix.size());
    const size_t slash = rest.find('/');
    if (slash == std::string::npos) {
      const ObjectId oid = blob_id(it->second.content);
      objects_.add(oid, it->second.content);
      builder.add(it->second.mode, rest, oid);
      ++it;
      continue;
    }
    const std::string below = prefix + rest.substr(0, slash + 1);
    builder.directory(rest.substr(0, slash), build(files, below, trees));
    std::string behind = below;
    behind.back() = '/' + 1;
    it = files.lower_bound(behind);
  }
  auto raw = builder.bytes();
  const ObjectId oid = hash_object(ObjectType::tree, raw);
  trees[oid] = std::move(raw);
  return oid;
}

std::unique_ptr<WritableWorkdir> MemoryBase::open(const std::filesystem::path& directory) {
  WorkdirOptions options;
  options.directory = directory.empty() ? this->directory() : directory;
  options.owner = {::getuid(), ::getgid()};
  return WritableWorkdir::open(std::make_shared<LocalStore>(*index_, objects_), snapshot_, options).value();
}

// ---- Files

Result<InodeNumber> Files::inode(const std::string& path) {
  InodeNumber current = kRootInode;
  size_t begin = 0;
  while (begin < path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    TRY_ASSIGN(const Attributes found, fs_.lookup(current, path.substr(begin, end - begin)));
    current = found.inode;
    begin = end + 1;
  }
  return current;
}

Result<std::pair<InodeNumber, std::string>> Files::place(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return std::pair{kRootInode, path};
  TRY_ASSIGN(const InodeNumber parent, inode(path.substr(0, slash)));
  return std::pair{parent, path.substr(slash + 1)};
}

Result<Attributes> Files::fstat(InodeNumber inode) {
  return wait<Attributes>([&](auto done) { return fs_.getattr(inode, std::move(done)); });
}

Result<Attributes> Files::stat(const std::string& path) {
  TRY_ASSIGN(const InodeNumber number, inode(path));
  return fstat(number);
}

Result<Attributes> Files::create(const std::string& path, uint32_t mode) {
  TRY_ASSIGN(const auto at, place(path));
  return fs_.mknod(caller, at.first, at.second, S_IFREG | mode, 0);
}
Result<Attributes> Files::mkdir(const std::string& path, uint32_t mode) {
  TRY_ASSIGN(const auto at, place(path));
  return fs_.mkdir(caller, at.first, at.second, mode);
}
Result<Attributes> Files::symlink(const std::string& target, const std::string& path) {
  TRY_ASSIGN(const auto at, place(path));
  return fs_.symlink(caller, at.first, at.second, target);
}
Result<Attributes> Files::link(const std::string& from, const std::string& path) {
  TRY_ASSIGN(const InodeNumber number, inode(from));
  TRY_ASSIGN(const auto at, place(path));
  return fs_.link(number, at.first, at.second);
}
Result<void> Files::unlink(const std::string& path) {
  TRY_ASSIGN(const auto at, place(path));
  return fs_.unlink(at.first, at.second);
}
Result<void> Files::rmdir(const std::string& path) {
  TRY_ASSIGN(const auto at, place(path));
  return fs_.rmdir(at.first, at.second);
}
Result<void> Files::rename(const std::string& from, const std::string& to, RenameMode mode) {
  TRY_ASSIGN(const auto source, place(from));
  TRY_ASSIGN(const auto target, place(to));
  return fs_.rename(source.first, source.second, target.first, target.second, mode);
}
Result<size_t> Files::write(InodeNumber inode, uint64_t offset, std::string_view data) {
  return wait<size_t>(
      [&](auto done) { return fs_.write(inode, offset, std::as_bytes(std::span(data)), false, std::move(done)); });
}
Result<size_t> Files::write(const std::string& path, uint64_t offset, std::string_view data) {
  TRY_ASSIGN(const InodeNumber number, inode(path));
  return write(number, offset, data);
}
Result<Attributes> Files::setattr(const std::string& path, const AttributeChange& change) {
  TRY_ASSIGN(const InodeNumber number, inode(path));
  return wait<Attributes>([&](auto done) { return fs_.setattr(number, change, std::move(done)); });
}
Result<Attributes> Files::truncate(const std::string& path, uint64_t size) {
  AttributeChange change;
  change.size_bytes = size;
  return setattr(path, change);
}
Result<std::string> Files::read(InodeNumber inode, uint64_t offset, size_t size) {
  TRY_ASSIGN(const auto data,
             wait<ReadData>([&](auto done) { return fs_.read(inode, offset, size, std::move(done)); }));
  return std::string(reinterpret_cast<const char*>(data.bytes.get()), data.size);
}
Result<std::string> Files::readlink(const std::string& path) {
  TRY_ASSIGN(const InodeNumber number, inode(path));
  return wait<std::string>([&](auto done) { return fs_.readlink(number, std::move(done)); });
}
Result<void> Files::fsync(const std::string& path) {
  TRY_ASSIGN(const InodeNumber number, inode(path));
  return wait<void>([&](auto done) { return fs_.fsync(number, false, std::move(done)); });
}

std::vector<std::string> Files::list(const std::string& path) {
  std::vector<std::string> names;
  const auto listed = fs_.read_directory(inode(path).value(), 0, [&](const DirectoryEntry& entry) {
    names.emplace_back(entry.name);
    return true;
  });
  EXPECT_TRUE(listed);
  return names;
}

void Files::walk(InodeNumber directory, const std::string& prefix, std::vector<std::string>& out) {
  std::map<std::string, Attributes> entries;
  const auto listed = fs_.read_directory(directory, 0, [&](const DirectoryEntry& entry) {
    if (entry.name != "." && entry.name != ".." && entry.name != ".git") {
      EXPECT_TRUE(entries.emplace(entry.name, entry.attributes).second) << entry.name << " is listed twice";
    }
    return true;
  });
  EXPECT_TRUE(listed);
  for (const auto& [name, attributes] : entries) {
    const auto found = fs_.lookup(directory, name);
    ASSERT_TRUE(found) << prefix << name << " is listed and not found";
    EXPECT_EQ(found->inode, attributes.inode);
    fs_.forget(found->inode, 1);
    std::string content;
    if (S_ISREG(attributes.mode)) content = read(attributes.inode).value();
    if (S_ISLNK(attributes.mode)) {
      content = wait<std::string>([&](auto done) { return fs_.readlink(attributes.inode, std::move(done)); }).value();
    }
    if (!S_ISDIR(attributes.mode)) {
      EXPECT_EQ(content.size(), attributes.size_bytes) << prefix << name;
    }
    out.push_back(fmt::format("{}{} {:o} {} {}", prefix, name, attributes.mode, attributes.links, content));
    if (S_ISDIR(attributes.mode)) walk(attributes.inode, prefix + name + "/", out);
  }
}

std::vector<std::string> Files::tree() {
  std::vector<std::string> out;
  walk(kRootInode, "", out);
  return out;
}

}  // namespace artifactfs::test
