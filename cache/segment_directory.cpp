#include "cache/segment_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/log.h"

namespace artifactfs {

Result<std::unique_ptr<SegmentDirectory>> SegmentDirectory::open(const std::filesystem::path& path,
                                                                 uint64_t segment_bytes) {
  TRY(make_directories(path));
  auto self = std::unique_ptr<SegmentDirectory>(new SegmentDirectory(path, segment_bytes));
  TRY_ASSIGN(const std::vector<uint32_t> numbers, self->list());
  const MutexLock lock(self->mutex_);
  for (const uint32_t number : numbers) self->next_number_ = std::max(self->next_number_, number + 1);
  return self;
}

std::filesystem::path SegmentDirectory::path_of(uint32_t number) const {
  return path_ / fmt::format("{:08}.seg", number);
}

Result<std::vector<uint32_t>> SegmentDirectory::list() const {
  std::vector<uint32_t> numbers;
  std::error_code error;
  for (std::filesystem::directory_iterator it(path_, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    uint32_t number = 0;
    const auto [rest, parsed] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (parsed == std::errc() && std::string_view(rest) == ".seg") numbers.push_back(number);
  }
  if (error) return fail_errno(error.value(), "cannot list '" + path_.string() + "'");
  return numbers;
}

Result<std::shared_ptr<SegmentWriter>> SegmentDirectory::claim(uint32_t first_number) const {
  auto claimed = SegmentWriter::create(path_of(first_number), first_number);
  for (int i = 1; i < kMaxClaimAttempts && !claimed && claimed.error().code == ErrorCode::already_exists; ++i) {
    const uint32_t number = first_number + static_cast<uint32_t>(i);
    claimed = SegmentWriter::create(path_of(number), number);
  }
  return claimed;
}

Result<std::shared_ptr<SegmentWriter>> SegmentDirectory::writer() {
  uint32_t first_number = 0;
  {
    const MutexLock lock(mutex_);
    if (writer_ != nullptr && writer_->end() < segment_bytes_) return writer_;
    first_number = next_number_;
  }
  TRY_ASSIGN(auto claimed, claim(first_number));
  const MutexLock lock(mutex_);
  next_number_ = std::max(next_number_, claimed->number() + 1);
  // Another thread may have claimed one meanwhile; then that is used and this one, empty, is garbage at the next open.
  if (writer_ == nullptr || writer_->end() >= segment_bytes_) writer_ = std::move(claimed);
  return writer_;
}

Result<std::shared_ptr<const SegmentReader>> SegmentDirectory::reader(uint32_t number) {
  const auto is_wanted = [number](const OpenReader& open) { return open.first == number; };
  {
    const MutexLock lock(mutex_);
    const auto found = std::find_if(readers_.begin(), readers_.end(), is_wanted);
    if (found != readers_.end()) {
      readers_.splice(readers_.begin(), readers_, found);
      return found->second;
    }
  }
  TRY_ASSIGN(auto opened, SegmentReader::open(path_of(number)));
  std::list<OpenReader> closed;  // after the lock
  const MutexLock lock(mutex_);
  if (std::find_if(readers_.begin(), readers_.end(), is_wanted) == readers_.end()) {
    readers_.emplace_front(number, opened);
    if (readers_.size() > kMaxOpenReaders) closed.splice(closed.end(), readers_, std::prev(readers_.end()));
  }
  return opened;
}

void SegmentDirectory::forget_reader(uint32_t number) {
  std::list<OpenReader> closed;
  const MutexLock lock(mutex_);
  const auto found =
      std::find_if(readers_.begin(), readers_.end(), [number](const auto& open) { return open.first == number; });
  if (found != readers_.end()) closed.splice(closed.end(), readers_, found);
}

void SegmentDirectory::collect_garbage(const std::function<bool(uint32_t number)>& is_referenced) {
  const auto numbers = list();
  if (!numbers) {
    log::warning("{}", numbers.error().text());
    return;
  }
  for (const uint32_t number : *numbers) {
    if (is_referenced(number)) continue;
    const auto path = path_of(number);
    const auto fd = open_file(path, O_RDONLY);
    if (!fd || ::flock(fd->get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (is_referenced(number)) continue;  // its writer wrote its rows and let go after the first look
    if (::unlink(path.c_str()) == 0) log::debug("deleted unused segment '{}'", path.string());
  }
}

}  // namespace artifactfs
