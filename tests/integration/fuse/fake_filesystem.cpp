#include "tests/integration/fuse/fake_filesystem.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace artifactfs {

class FakeFilesystem::Waiting final : public ParkedOperation, public std::enable_shared_from_this<Waiting> {
 public:
  Waiting(FakeFilesystem& owner, InodeNumber inode, std::move_only_function<void(Result<void>)> then)
      : owner_(owner), inode_(inode), then_(std::move(then)) {}
  void cancel() noexcept override {
    const auto self = shared_from_this();
    {
      MutexLock lock(owner_.mutex_);
      const auto [begin, end] = owner_.waiting_.equal_range(inode_);
      const auto mine = std::find_if(begin, end, [this](const auto& entry) { return entry.second.get() == this; });
      if (mine != end) owner_.waiting_.erase(mine);
    }
    complete(fail(ErrorCode::interrupted, "cancelled"));
  }
  void complete(Result<void> result) {
    std::move_only_function<void(Result<void>)> then;
    {
      MutexLock lock(mutex_);
      then = std::exchange(then_, nullptr);
    }
    if (then) then(std::move(result));
  }

 private:
  FakeFilesystem& owner_;
  const InodeNumber inode_;
  Mutex mutex_;
  std::move_only_function<void(Result<void>)> then_ GUARDED_BY(mutex_);
};

FakeFilesystem::FakeFilesystem() { add(0, "", S_IFDIR | 0755); }

FakeFilesystem::~FakeFilesystem() = default;

InodeNumber FakeFilesystem::add(InodeNumber parent, const std::string& name, uint32_t mode) {
  MutexLock lock(mutex_);
  const InodeNumber inode = next_inode_++;
  Node& node = nodes_[inode];
  node.parent = parent == 0 ? inode : parent;
  node.attributes.inode = inode;
  node.attributes.mode = mode;
  node.attributes.mtime = node.attributes.ctime = node.attributes.atime = {1'700'000'000, 5};
  if (parent != 0) {
    Node& directory = nodes_[parent];
    directory.by_name.emplace(name, directory.entries.size());
    directory.entries.emplace_back(name, inode);
  }
  return inode;
}

InodeNumber FakeFilesystem::add_directory(InodeNumber parent, const std::string& name, uint32_t mode) {
  return add(parent, name, S_IFDIR | mode);
}

InodeNumber FakeFilesystem::add_file(InodeNumber parent, const std::string& name, std::string content, uint32_t mode) {
  const InodeNumber inode = add(parent, name, S_IFREG | mode);
  replace_content(inode, std::move(content));
  return inode;
}

InodeNumber FakeFilesystem::add_large_file(InodeNumber parent, const std::string& name, uint64_t size) {
  const InodeNumber inode = add(parent, name, S_IFREG | 0644);
  MutexLock lock(mutex_);
  nodes_[inode].generated = true;
  nodes_[inode].attributes.size_bytes = size;
  return inode;
}

InodeNumber FakeFilesystem::add_symlink(InodeNumber parent, const std::string& name, const std::string& target) {
  const InodeNumber inode = add(parent, name, S_IFLNK | 0777);
  replace_content(inode, target);
  return inode;
}

void FakeFilesystem::set_attribute(InodeNumber inode, const std::string& name, const std::string& value) {
  MutexLock lock(mutex_);
  nodes_[inode].xattrs[name] = value;
}

void FakeFilesystem::forget_size(InodeNumber inode) {
  MutexLock lock(mutex_);
  nodes_[inode].attributes.size_known = false;
}

void FakeFilesystem::make_restless(InodeNumber inode) {
  MutexLock lock(mutex_);
  nodes_[inode].restless = true;
}

void FakeFilesystem::park(InodeNumber inode) {
  MutexLock lock(mutex_);
  parked_.insert(inode);
}

void FakeFilesystem::release(InodeNumber inode) {
  std::vector<std::shared_ptr<Waiting>> released;
  {
    MutexLock lock(mutex_);
    parked_.erase(inode);
    const auto [begin, end] = waiting_.equal_range(inode);
    for (auto entry = begin; entry != end; ++entry) released.push_back(entry->second);
    waiting_.erase(begin, end);
  }
  for (const auto& operation : released) operation->complete({});
}

void FakeFilesystem::replace_content(InodeNumber inode, std::string content) {
  MutexLock lock(mutex_);
  nodes_[inode].attributes.size_bytes = content.size();
  nodes_[inode].content = std::move(content);
}

void FakeFilesystem::rename_entry(InodeNumber parent, const std::string& from, const std::string& to) {
  MutexLock lock(mutex_);
  Node& directory = nodes_[parent];
  const size_t position = directory.by_name.at(from);
  directory.by_name.erase(from);
  directory.by_name.emplace(to, position);
  directory.entries[position].first = to;
}

size_t FakeFilesystem::waiting() const {
  MutexLock lock(mutex_);
  return waiting_.size();
}

Attributes FakeFilesystem::attributes_of(Node& node) {
  Attributes attributes = node.attributes;
  if (!attributes.size_known) attributes.size_bytes = 0;
  if (node.restless) {
    attributes.size_known = false;
    attributes.mtime.seconds = node.attributes.mtime.seconds++;
  }
  return attributes;
}

Result<Attributes> FakeFilesystem::lookup(InodeNumber parent, std::string_view name) {
  ++counts_.lookup;
  if (on_lookup) on_lookup(name);
  MutexLock lock(mutex_);
  const Node& directory = nodes_[parent];
  const auto found = directory.by_name.find(std::string(name));
  if (found == directory.by_name.end()) return fail(ErrorCode::not_found, "no such name");
  return attributes_of(nodes_[directory.entries[found->second].second]);
}

Ticket FakeFilesystem::wait(InodeNumber inode, std::move_only_function<void(Result<void>)> then) {
  bool parked;
  {
    MutexLock lock(mutex_);
    parked = parked_.contains(inode);
    if (parked) {
      auto operation = std::make_shared<Waiting>(*this, inode, std::move(then));
      waiting_.emplace(inode, operation);
      return operation;
    }
  }
  then({});
  return nullptr;
}

Ticket FakeFilesystem::getattr(InodeNumber inode, Completion<Attributes> done) {
  ++counts_.getattr;
  auto answer = [this, inode, done = std::move(done)](Result<void> result) mutable {
    if (!result) return done(fail(result.error()));
    Attributes attributes;
    {
      MutexLock lock(mutex_);
      nodes_[inode].attributes.size_known = true;
      attributes = attributes_of(nodes_[inode]);
    }
    done(attributes);
  };
  {
    MutexLock lock(mutex_);
    if (!nodes_[inode].attributes.size_known) {
      lock.unlock();
      return wait(inode, std::move(answer));
    }
  }
  answer({});
  return nullptr;
}

Result<void> FakeFilesystem::read_directory(InodeNumber inode, uint64_t cookie,
                                            const std::function<bool(const DirectoryEntry&)>& emit) {
  ++counts_.read_directory;
  MutexLock lock(mutex_);
  Node& directory = nodes_[inode];
  for (uint64_t position = cookie; position < directory.entries.size() + 2; ++position) {
    DirectoryEntry entry;
    entry.next_cookie = position + 1;
    if (position < 2) {
      entry.name = position == 0 ? "." : "..";
      entry.attributes = attributes_of(nodes_[position == 0 ? inode : directory.parent]);
    } else {
      entry.name = directory.entries[position - 2].first;
      entry.attributes = attributes_of(nodes_[directory.entries[position - 2].second]);
    }
    if (!emit(entry)) break;
  }
  return {};
}

Ticket FakeFilesystem::readlink(InodeNumber inode, Completion<std::string> done) {
  ++counts_.readlink;
  return wait(inode, [this, inode, done = std::move(done)](Result<void> result) mutable {
    if (!result) return done(fail(result.error()));
    std::string target;
    {
      MutexLock lock(mutex_);
      target = nodes_[inode].content;
    }
    done(std::move(target));
  });
}

Result<ReadData> FakeFilesystem::content(InodeNumber inode, uint64_t offset, size_t size) {
  MutexLock lock(mutex_);
  const Node& node = nodes_[inode];
  ReadData data;
  if (offset >= node.attributes.size_bytes) return data;
  data.size = static_cast<size_t>(std::min<uint64_t>(size, node.attributes.size_bytes - offset));
  data.bytes = std::make_unique_for_overwrite<std::byte[]>(data.size);
  if (!node.generated) {
    std::memcpy(data.bytes.get(), node.content.data() + offset, data.size);
    return data;
  }
  lock.unlock();
  for (size_t i = 0; i < data.size;) {
    const size_t run = std::min<size_t>(data.size - i, 4096 - (offset + i) % 4096);
    std::memset(data.bytes.get() + i, static_cast<int>((offset + i) / 4096 % 251), run);
    i += run;
  }
  return data;
}

Ticket FakeFilesystem::read(InodeNumber inode, uint64_t offset, size_t size, Completion<ReadData> done) {
  ++counts_.read;
  uint64_t largest = counts_.largest_read;
  while (size > largest && !counts_.largest_read.compare_exchange_weak(largest, size)) continue;
  return wait(inode, [this, inode, offset, size, done = std::move(done)](Result<void> result) mutable {
    if (!result) return done(fail(result.error()));
    done(content(inode, offset, size));
  });
}

Result<std::string> FakeFilesystem::getxattr(InodeNumber inode, std::string_view name) {
  ++counts_.getxattr;
  if (name == "security.capability") ++counts_.capability_queries;
  MutexLock lock(mutex_);
  const auto& xattrs = nodes_[inode].xattrs;
  const auto found = xattrs.find(std::string(name));
  if (found == xattrs.end()) return fail(ErrorCode::no_attribute, "no such attribute");
  return found->second;
}

Result<std::vector<std::string>> FakeFilesystem::listxattr(InodeNumber inode) {
  ++counts_.listxattr;
  MutexLock lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, value] : nodes_[inode].xattrs) names.push_back(name);
  return names;
}

Result<FilesystemStats> FakeFilesystem::statfs() {
  ++counts_.statfs;
  return FilesystemStats{
      .block_bytes = 4096, .blocks = 1000, .blocks_free = 500, .blocks_available = 400, .files = 77, .files_free = 33};
}

void FakeFilesystem::forget(InodeNumber, uint64_t count) { counts_.forgotten += count; }

}  // namespace artifactfs
