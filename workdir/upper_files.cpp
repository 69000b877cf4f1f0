#include "workdir/upper_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string>

namespace artifactfs {

namespace {

constexpr std::string_view kTemporarySuffix = ".tmp";

// "<inode>" or "<inode>.tmp", without touching the heap.
class Name {
 public:
  explicit Name(InodeNumber inode, std::string_view suffix = "") {
    char* end = std::to_chars(text_.data(), text_.data() + text_.size() - suffix.size() - 1, inode).ptr;
    end = std::copy(suffix.begin(), suffix.end(), end);
    *end = '\0';
  }
  const char* c_str() const { return text_.data(); }

 private:
  std::array<char, 32> text_;
};

}  // namespace

Result<std::unique_ptr<UpperFiles>> UpperFiles::open(const std::filesystem::path& directory) {
  TRY(make_directories(directory));
  TRY_ASSIGN(auto fd, open_file(directory, O_RDONLY | O_DIRECTORY));
  return std::unique_ptr<UpperFiles>(new UpperFiles(directory, std::move(fd)));
}

Error UpperFiles::error(InodeNumber inode, const char* what) const {
  const int errnum = errno;
  return errno_error(errnum, std::string("cannot ") + what + " '" + (path_ / std::to_string(inode)).string() + "'");
}

Result<UpperFiles::File> UpperFiles::open_named(InodeNumber inode, int flags) {
  const int fd = ::openat(directory_.get(), Name(inode).c_str(), flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail(error(inode, "open"));
  auto file = std::make_shared<const UniqueFd>(fd);
  keep(inode, file);
  return file;
}

Result<UpperFiles::File> UpperFiles::create(InodeNumber inode) {
  auto file = open_named(inode, O_CREAT | O_TRUNC);
  ++made_;
  return file;
}

Result<UpperFiles::File> UpperFiles::file(InodeNumber inode) {
  {
    MutexLock lock(mutex_);
    if (const auto found = open_.find(inode); found != open_.end()) {
      order_.splice(order_.begin(), order_, found->second);
      return found->second->second;
    }
  }
  return open_named(inode, 0);
}

void UpperFiles::keep(InodeNumber inode, const File& file) {
  Order dropped;  // closed after the lock is released
  MutexLock lock(mutex_);
  if (const auto found = open_.find(inode); found != open_.end()) {
    dropped.splice(dropped.end(), order_, found->second);
    open_.erase(found);
  }
  if (open_.size() >= kOpenFiles) {
    open_.erase(order_.back().first);
    dropped.splice(dropped.end(), order_, std::prev(order_.end()));
  }
  order_.emplace_front(inode, file);
  open_[inode] = order_.begin();
  lock.unlock();
}

Result<struct stat> UpperFiles::stat(InodeNumber inode) {
  struct stat st {};
  if (::fstatat(directory_.get(), Name(inode).c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail(error(inode, "look at"));
  }
  return st;
}

Result<void> UpperFiles::remove(InodeNumber inode) {
  Order dropped;
  {
    MutexLock lock(mutex_);
    if (const auto found = open_.find(inode); found != open_.end()) {
      dropped.splice(dropped.end(), order_, found->second);
      open_.erase(found);
    }
  }
  if (::unlinkat(directory_.get(), Name(inode).c_str(), 0) != 0 && errno != ENOENT) return fail(error(inode, "remove"));
  return {};
}

Result<UniqueFd> UpperFiles::create_temporary(InodeNumber inode) {
  const int fd = ::openat(directory_.get(), Name(inode, kTemporarySuffix).c_str(),
                          O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail(error(inode, "create a copy for"));
  return UniqueFd(fd);
}

Result<void> UpperFiles::publish(InodeNumber inode) {
  if (::renameat(directory_.get(), Name(inode, kTemporarySuffix).c_str(), directory_.get(), Name(inode).c_str()) != 0) {
    return fail(error(inode, "publish"));
  }
  ++made_;
  return {};
}

void UpperFiles::remove_temporary(InodeNumber inode) {
  ::unlinkat(directory_.get(), Name(inode, kTemporarySuffix).c_str(), 0);
}

Result<void> UpperFiles::sync_names() {
  MutexLock lock(sync_mutex_);
  const uint64_t made = made_;
  if (synced_ >= made) return {};
  if (::fsync(directory_.get()) != 0) return fail_errno(errno, "cannot sync '" + path_.string() + "'");
  synced_ = made;
  return {};
}

Result<UpperFiles::Names> UpperFiles::list() const {
  Names names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path_, error)) {
    const std::string name = entry.path().filename().string();
    std::string_view digits = name;
    const bool temporary = digits.ends_with(kTemporarySuffix);
    if (temporary) digits.remove_suffix(kTemporarySuffix.size());
    InodeNumber inode = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), inode);
    if (parsed.ec != std::errc{} || parsed.ptr != digits.data() + digits.size()) {
      names.unknown.push_back(name);
    } else {
      (temporary ? names.temporaries : names.files).push_back(inode);
    }
  }
  if (error) return fail_errno(error.value(), "cannot list '" + path_.string() + "'");
  return names;
}

}  // namespace artifactfs
