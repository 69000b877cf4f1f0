#include "workdir/projected_objects.h"

#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/mutex.h"
#include "workdir/loose_object.h"
#include "workdir/tree_walk.h"

namespace artifactfs {

namespace {

// After so many files read in the order of the listing somebody is taken to want them all; so many are fetched ahead.
constexpr size_t kScanAfter = 4;
constexpr size_t kScanAhead = 1000;

constexpr InodeNumber kFirstDirectory = kRootInode + 1;
constexpr size_t kDirectories = 256;
constexpr InodeNumber kFirstFile = 1024;
constexpr uint64_t kPlaceholderBytes = 1;
constexpr int64_t kTimestamp = 1;  // git prunes by age only what is its own
constexpr size_t kPieceBytes = size_t{1} << 20;
constexpr size_t kSizesPerLookup = 128;
constexpr uint64_t kDotCookie = 1, kDotDotCookie = 2;

bool is_directory(InodeNumber inode) { return inode >= kFirstDirectory && inode < kFirstDirectory + kDirectories; }

std::string directory_name(size_t number) {
  constexpr char kDigits[] = "0123456789abcdef";
  return {kDigits[number >> 4], kDigits[number & 15]};
}

// The first oid that begins with `byte` (256: the end).
size_t first_of(const std::vector<ObjectId>& oids, size_t byte) {
  return static_cast<size_t>(
      std::ranges::partition_point(
          oids, [byte](const ObjectId& oid) { return std::to_integer<size_t>(oid.bytes[0]) < byte; }) -
      oids.begin());
}

Error no_such_file() { return {ErrorCode::not_found, "cannot find the object", "not in the base tree"}; }

uint32_t add_to_checksum(uint32_t checksum, std::span<const std::byte> bytes) {
  return static_cast<uint32_t>(
      ::adler32_z(checksum, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

}  // namespace

Result<std::vector<ObjectId>> blobs_of_tree(TreeIndex& trees, const ObjectId& tree) {
  std::vector<ObjectId> oids;
  TreeWalk walk(trees, tree);
  for (;;) {
    TRY_ASSIGN(const auto entry, walk.next());
    if (!entry) return oids;
    oids.push_back(entry->oid);
  }
}

ProjectedObjects::ProjectedObjects(ObjectStore& store, std::vector<ObjectId> oids, const UserIds& owner,
                                   Duration fetch_timeout)
    : store_(store), oids_(std::move(oids)), owner_(owner), fetch_timeout_(fetch_timeout) {
  std::ranges::sort(oids_);
  oids_.erase(std::ranges::unique(oids_).begin(), oids_.end());
  oids_.shrink_to_fit();
}

// ---- attributes

std::optional<size_t> ProjectedObjects::position_of(InodeNumber inode) const {
  if (inode < kFirstFile || inode - kFirstFile >= oids_.size()) return std::nullopt;
  return static_cast<size_t>(inode - kFirstFile);
}

Attributes ProjectedObjects::directory_attributes(InodeNumber inode) const {
  Attributes attributes;
  attributes.inode = inode;
  attributes.mode = S_IFDIR | 0555;
  attributes.links = 2;
  attributes.uid = owner_.uid;
  attributes.gid = owner_.gid;
  attributes.atime = attributes.mtime = attributes.ctime = {kTimestamp, 0};
  return attributes;
}

Attributes ProjectedObjects::file_attributes(size_t position, std::optional<uint64_t> blob_bytes) const {
  Attributes attributes = directory_attributes(kFirstFile + position);
  attributes.mode = S_IFREG | 0444;
  attributes.links = 1;
  attributes.size_known = blob_bytes.has_value();
  attributes.size_bytes = blob_bytes ? LooseObject(*blob_bytes).file_bytes() : kPlaceholderBytes;
  attributes.blocks = (attributes.size_bytes + 511) / 512;
  return attributes;
}

Result<Attributes> ProjectedObjects::attributes(InodeNumber inode) const {
  if (inode == kRootInode || is_directory(inode)) return directory_attributes(inode);
  const auto position = position_of(inode);
  if (!position) return fail(no_such_file());
  return file_attributes(*position, store_.size_now(oids_[*position]));
}

Result<Attributes> ProjectedObjects::lookup(InodeNumber parent, std::string_view name) {
  constexpr size_t kNameDigits = ObjectId::kHexDigits - 2;
  if (parent == kRootInode && name.size() == 2) {
    for (size_t number = 0; number < kDirectories; ++number) {
      if (directory_name(number) == name) return directory_attributes(kFirstDirectory + number);
    }
  }
  if (is_directory(parent) && name.size() == kNameDigits) {
    const auto oid = ObjectId::from_hex(directory_name(parent - kFirstDirectory).append(name));
    const auto found = oid && oid->hex().ends_with(name) ? std::ranges::lower_bound(oids_, *oid) : oids_.end();
    if (found != oids_.end() && *found == *oid) {
      return file_attributes(static_cast<size_t>(found - oids_.begin()), store_.size_now(*oid));
    }
  }
  return fail(no_such_file());
}

Ticket ProjectedObjects::getattr(InodeNumber inode, Completion<Attributes> done) {
  done(attributes(inode));
  return nullptr;
}

// ---- directories

Result<void> ProjectedObjects::read_directory(InodeNumber inode, uint64_t cookie,
                                              const std::function<bool(const DirectoryEntry&)>& emit) {
  if (inode != kRootInode && !is_directory(inode)) return fail(ErrorCode::not_directory, "cannot list an object");
  if (cookie < kDotCookie && !emit({".", directory_attributes(inode), kDotCookie})) return {};
  if (cookie < kDotDotCookie && !emit({"..", directory_attributes(kRootInode), kDotDotCookie})) return {};
  uint64_t position = cookie <= kDotDotCookie ? 0 : cookie - kDotDotCookie;
  if (inode == kRootInode) {
    for (; position < kDirectories; ++position) {
      const std::string name = directory_name(position);
      if (!emit({name, directory_attributes(kFirstDirectory + position), kDotDotCookie + position + 1})) return {};
    }
    return {};
  }
  const size_t begin = first_of(oids_, inode - kFirstDirectory);
  const size_t end = first_of(oids_, inode - kFirstDirectory + 1);
  while (begin + position < end) {
    const auto oids =
        std::span(oids_).subspan(begin + position).first(std::min(kSizesPerLookup, end - begin - position));
    const auto sizes = store_.sizes_now(oids);
    for (size_t i = 0; i < oids.size(); ++i, ++position) {
      const std::string name = oids[i].hex().substr(2);
      if (!emit({name, file_attributes(begin + position, sizes[i]), kDotDotCookie + position + 1})) return {};
    }
  }
  return {};
}

// ---- contents

// One read: the size, the checksum if the read reaches it (over the whole content, in pieces), then the content.
class ProjectedObjects::Reading final : public ParkedOperation, public std::enable_shared_from_this<Reading> {
 public:
  Reading(ObjectStore& store, const ObjectId& oid, uint64_t offset, size_t size, Duration timeout,
          Completion<ReadData> done)
      : store_(store), oid_(oid), offset_(offset), size_(size), timeout_(timeout), done_(std::move(done)) {}

  void start() {
    if (const auto known = store_.size_now(oid_)) return sized(*known);
    // Its first byte, not its size: the content is wanted anyway, and brings the size along.
    const uint64_t step = ++step_;
    keep(step, store_.read(oid_, 0, 1, timeout_, [self = shared_from_this()](Result<ReadData> data) {
      if (!data) return self->finish(fail(data.error()));
      self->ask_size();
    }));
  }

  void cancel() noexcept override {
    Ticket waiting;
    {
      MutexLock lock(mutex_);
      cancelled_ = true;
      waiting = waiting_;
    }
    if (waiting) waiting->cancel();
  }

 private:
  void ask_size() {
    if (const auto known = store_.size_now(oid_)) return sized(*known);
    const uint64_t step = ++step_;
    keep(step, store_.size(oid_, {}, timeout_, [self = shared_from_this()](Result<uint64_t> blob_bytes) {
      if (!blob_bytes) return self->finish(fail(blob_bytes.error()));
      self->sized(*blob_bytes);
    }));
  }

  void sized(uint64_t blob_bytes) {
    object_.emplace(blob_bytes);
    const uint64_t file_bytes = object_->file_bytes();
    size_ = offset_ >= file_bytes ? 0 : static_cast<size_t>(std::min<uint64_t>(size_, file_bytes - offset_));
    if (size_ == 0) return finish(ReadData{});
    checksum_ = add_to_checksum(1, std::as_bytes(std::span(object_->header())));
    if (object_->needs_checksum(offset_ + size_)) return sum(0);
    read_content();
  }

  void sum(uint64_t position) {
    if (position == object_->blob_bytes()) return read_content();
    const uint64_t step = ++step_;
    keep(step, store_.read(
                   oid_, position, kPieceBytes, timeout_, [self = shared_from_this(), position](Result<ReadData> data) {
                     if (!data) return self->finish(fail(data.error()));
                     if (data->size == 0)
                       return self->finish(fail(ErrorCode::corrupt, "cannot read '" + self->oid_.hex() + "'", "cut"));
                     self->checksum_ = add_to_checksum(self->checksum_, {data->bytes.get(), data->size});
                     self->sum(position + data->size);
                   }));
  }

  void read_content() {
    const auto [begin, end] = object_->content_range(offset_, offset_ + size_);
    if (begin == end) return fill({});
    const auto bytes = static_cast<size_t>(end - begin);
    const uint64_t step = ++step_;
    keep(step, store_.read(oid_, begin, bytes, timeout_, [self = shared_from_this(), bytes](Result<ReadData> data) {
      if (!data) return self->finish(fail(data.error()));
      if (data->size != bytes)
        return self->finish(fail(ErrorCode::corrupt, "cannot read '" + self->oid_.hex() + "'", "cut"));
      self->fill({data->bytes.get(), data->size});
    }));
  }

  void fill(std::span<const std::byte> content) {
    ReadData out;
    out.size = size_;
    out.bytes = std::make_unique_for_overwrite<std::byte[]>(size_);
    object_->fill(offset_, {out.bytes.get(), out.size}, content, checksum_);
    finish(std::move(out));
  }

  void finish(Result<ReadData> result) {
    {
      MutexLock lock(mutex_);
      finished_ = true;
      waiting_.reset();
    }
    done_(std::move(result));
  }

  // Takes the step's ticket, so that cancel() reaches it. A step may have ended, and others begun, before its call
  // returned here: then its ticket is of no use.
  // NOLINTNEXTLINE(performance-unnecessary-value-param): kept alive for the call
  void keep(uint64_t step, Ticket ticket) {
    if (!ticket) return;
    {
      MutexLock lock(mutex_);
      if (finished_ || step < kept_step_) return;
      kept_step_ = step;
      waiting_ = ticket;
      if (!cancelled_) return;
    }
    ticket->cancel();
  }

  // Touched by one step at a time (but step_ is copied before a step begins).
  ObjectStore& store_;
  const ObjectId oid_;
  const uint64_t offset_;
  size_t size_;
  const Duration timeout_;
  Completion<ReadData> done_;
  std::optional<LooseObject> object_;
  uint32_t checksum_ = 1;
  uint64_t step_ = 0;

  Mutex mutex_;
  Ticket waiting_ GUARDED_BY(mutex_);
  uint64_t kept_step_ GUARDED_BY(mutex_) = 0;
  bool cancelled_ GUARDED_BY(mutex_) = false;
  bool finished_ GUARDED_BY(mutex_) = false;
};

Ticket ProjectedObjects::read(InodeNumber inode, uint64_t offset, size_t size, Completion<ReadData> done) {
  const auto position = position_of(inode);
  if (!position) {
    done(fail(no_such_file()));
    return nullptr;
  }
  note_read(*position);
  auto answered = std::make_shared<std::atomic<bool>>(false);
  auto reading = std::make_shared<Reading>(store_, oids_[*position], offset, size, fetch_timeout_,
                                           [done = std::move(done), answered](Result<ReadData> data) mutable {
                                             *answered = true;
                                             done(std::move(data));
                                           });
  reading->start();
  return *answered ? nullptr : reading;
}

void ProjectedObjects::note_read(size_t position) {
  std::span<const ObjectId> ahead;
  {
    MutexLock lock(mutex_);
    if (position == last_read_) return;
    run_ = position == last_read_ + 1 ? run_ + 1 : 0;
    last_read_ = position;
    if (run_ == 0) prefetched_until_ = 0;
    if (run_ < kScanAfter || position + kScanAhead / 2 < prefetched_until_) return;
    const size_t begin = std::max(prefetched_until_, position + 1);
    const size_t end = std::min(position + kScanAhead, oids_.size());
    if (begin >= end) return;
    prefetched_until_ = end;
    ahead = std::span(oids_).subspan(begin, end - begin);
  }
  store_.prefetch(ahead);
}

Ticket ProjectedObjects::readlink(InodeNumber, Completion<std::string> done) {
  done(fail(ErrorCode::invalid_argument, "cannot read a link", "not a symlink"));
  return nullptr;
}

// ---- the rest

Result<std::string> ProjectedObjects::getxattr(InodeNumber, std::string_view name) {
  return fail(ErrorCode::no_attribute, "cannot read attribute '" + std::string(name) + "'", "no such attribute");
}

Result<std::vector<std::string>> ProjectedObjects::listxattr(InodeNumber) { return std::vector<std::string>{}; }

Result<FilesystemStats> ProjectedObjects::statfs() {
  FilesystemStats stats;
  stats.files = oids_.size();
  return stats;
}

}  // namespace artifactfs
