// WritableWorkdir: contents of files with data of their own, and the ways to get there.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <limits>
#include <utility>

#include "workdir/writable_workdir.h"

namespace artifactfs {

namespace {

constexpr uint64_t kEverything = std::numeric_limits<uint64_t>::max();

std::unexpected<Error> gitfile_refused() {
  return fail(ErrorCode::permission_denied, "cannot change '.git'", "it belongs to the mount");
}

std::string about(const char* what, InodeNumber inode) {
  return std::string("cannot ") + what + " inode " + std::to_string(inode);
}

struct timespec time_to_set(const std::optional<Timestamp>& time, bool now) {
  if (now) return {0, UTIME_NOW};
  if (!time) return {0, UTIME_OMIT};
  return {time->seconds, static_cast<long>(time->nanoseconds)};
}

// Writes until all is written or something fails; what was written before that counts.
Result<size_t> write_most(int fd, std::span<const std::byte> data, uint64_t offset, InodeNumber inode) {
  size_t done = 0;
  while (done < data.size()) {
    const ssize_t n = ::pwrite(fd, data.data() + done, data.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && done == 0) return fail_errno(errno, about("write", inode));
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

class Running final : public ParkedOperation {
 public:
  void cancel() noexcept override {}  // goes on by itself and ends soon
};

bool has_times(const AttributeChange& change) {
  return change.atime || change.mtime || change.atime_now || change.mtime_now;
}

}  // namespace

template <typename Change>
auto WritableWorkdir::change_content(InodeNumber inode, Change&& change) -> decltype(change(0)) {
  // In the journal before, or a crash could hide the change from git; and again if git was answered in between, before
  // the change was there to be seen.
  TRY_ASSIGN(const uint64_t generation, tree_->content_will_change(inode));
  TRY_ASSIGN(const UpperFiles::File file, upper_->file(inode));
  auto result = change(file->get());
  tree_->content_changed(inode, generation);
  return result;
}

// ---- write, truncate, allocate

Result<size_t> WritableWorkdir::write_now(InodeNumber inode, uint64_t offset, std::span<const std::byte> data,
                                          bool kill_privileges) {
  auto written = change_content(inode, [&](int fd) { return write_most(fd, data, offset, inode); });
  if (!written || !kill_privileges) return written;
  TRY_ASSIGN(const InodeView view, tree_->find(inode));
  if (view.row && (view.row->mode & (S_ISUID | S_ISGID)) != 0) {
    AttributeChange change;
    change.kill_privileges = true;
    TRY(tree_->set_attributes(inode, change));
  }
  return written;
}

Ticket WritableWorkdir::write(InodeNumber inode, uint64_t offset, std::span<const std::byte> data, bool kill_privileges,
                              Completion<size_t> done) {
  if (inode == kGitfileInode) {
    done(gitfile_refused());
    return nullptr;
  }
  const auto view = tree_->find(inode);
  if (view && view->row && view->row->data == DataSource::upper) {
    done(write_now(inode, offset, data, kill_privileges));
    return nullptr;
  }
  return copy_ups_->ensure(inode, kEverything,
                           [this, inode, offset, copy = std::vector<std::byte>(data.begin(), data.end()),
                            kill_privileges, done = std::move(done)](Result<void> ready) mutable {
                             if (!ready) return done(fail(ready.error()));
                             done(write_now(inode, offset, copy, kill_privileges));
                           });
}

Result<void> WritableWorkdir::truncate_now(InodeNumber inode, uint64_t size_bytes) {
  return change_content(inode, [&](int fd) -> Result<void> {
    if (::ftruncate(fd, static_cast<off_t>(size_bytes)) != 0) return fail_errno(errno, about("truncate", inode));
    return {};
  });
}

Result<void> WritableWorkdir::set_times_now(InodeNumber inode, const AttributeChange& change) {
  return change_content(inode, [&](int fd) -> Result<void> {
    const std::array<struct timespec, 2> times = {time_to_set(change.atime, change.atime_now),
                                                  time_to_set(change.mtime, change.mtime_now)};
    if (::futimens(fd, times.data()) != 0) return fail_errno(errno, about("set the times of", inode));
    return {};
  });
}

Result<void> WritableWorkdir::set_other_attributes(InodeNumber inode, const AttributeChange& change) {
  TRY_ASSIGN(const InodeView view, tree_->find(inode));
  const bool upper = view.row && view.row->data == DataSource::upper;
  if (upper && has_times(change)) TRY(set_times_now(inode, change));
  AttributeChange rest = change;
  if (upper) {
    rest.atime = rest.mtime = std::nullopt;
    rest.atime_now = rest.mtime_now = false;
  }
  // A row with nothing new but its ctime (which the file below has by itself) is not written.
  const bool privileged = view.row && (view.row->mode & (S_ISUID | S_ISGID)) != 0;
  if (!rest.mode && !rest.uid && !rest.gid && !has_times(rest) && !(rest.kill_privileges && privileged)) return {};
  TRY(tree_->set_attributes(inode, rest));
  return {};
}

Ticket WritableWorkdir::setattr(InodeNumber inode, const AttributeChange& change, Completion<Attributes> done) {
  if (inode == kGitfileInode) {
    done(gitfile_refused());
    return nullptr;
  }
  const auto finish = [this, inode](const AttributeChange& wanted) -> Result<Attributes> {
    TRY(set_other_attributes(inode, wanted));
    return attributes_of(tree_->find(inode));
  };
  if (!change.size_bytes) {
    done(finish(change));
    return nullptr;
  }
  return copy_ups_->ensure(inode, *change.size_bytes,
                           [this, inode, change, finish, done = std::move(done)](Result<void> ready) mutable {
                             if (ready) ready = truncate_now(inode, *change.size_bytes);
                             if (!ready) return done(fail(ready.error()));
                             done(finish(change));
                           });
}

Result<void> WritableWorkdir::allocate_now(InodeNumber inode, AllocateMode mode, uint64_t offset, uint64_t length) {
  const int flags = (mode.keep_size ? FALLOC_FL_KEEP_SIZE : 0) | (mode.punch_hole ? FALLOC_FL_PUNCH_HOLE : 0) |
                    (mode.zero_range ? FALLOC_FL_ZERO_RANGE : 0);
  return change_content(inode, [&](int fd) -> Result<void> {
    while (::fallocate(fd, flags, static_cast<off_t>(offset), static_cast<off_t>(length)) != 0) {
      if (errno != EINTR) return fail_errno(errno, about("allocate space for", inode));
    }
    return {};
  });
}

Ticket WritableWorkdir::fallocate(InodeNumber inode, AllocateMode mode, uint64_t offset, uint64_t length,
                                  Completion<void> done) {
  if (inode == kGitfileInode) {
    done(gitfile_refused());
    return nullptr;
  }
  return copy_ups_->ensure(inode, kEverything,
                           [this, inode, mode, offset, length, done = std::move(done)](Result<void> ready) mutable {
                             done(ready ? allocate_now(inode, mode, offset, length) : std::move(ready));
                           });
}

// ---- seek, copy

Ticket WritableWorkdir::seek(InodeNumber inode, SeekTo to, uint64_t offset, Completion<std::optional<uint64_t>> done) {
  const auto view = inode == kGitfileInode ? Result<InodeView>(InodeView{}) : tree_->find(inode);
  if (view && view->row && view->row->data == DataSource::upper) {
    const auto file = upper_->file(inode);
    if (!file) {
      done(fail(file.error()));
      return nullptr;
    }
    // Nobody uses the descriptor's offset.
    const off_t at = ::lseek((*file)->get(), static_cast<off_t>(offset), to == SeekTo::data ? SEEK_DATA : SEEK_HOLE);
    if (at >= 0) {
      done(static_cast<uint64_t>(at));
    } else if (errno == ENXIO) {
      done(std::nullopt);
    } else {
      done(fail_errno(errno, about("seek in", inode)));
    }
    return nullptr;
  }
  if (view && inode != kGitfileInode && !view->is_regular()) {
    done(fail(ErrorCode::invalid_argument, about("seek in", inode), "not a file"));
    return nullptr;
  }
  // A base file is all data up to its size.
  return getattr(inode, [to, offset, done = std::move(done)](Result<Attributes> attributes) mutable {
    if (!attributes) return done(fail(attributes.error()));
    if (offset >= attributes->size_bytes) return done(std::nullopt);
    done(to == SeekTo::data ? offset : attributes->size_bytes);
  });
}

Result<size_t> WritableWorkdir::copy_now(InodeNumber from, uint64_t from_offset, InodeNumber to, uint64_t to_offset,
                                         size_t size) {
  TRY_ASSIGN(const UpperFiles::File source, upper_->file(from));
  return change_content(to, [&](int fd) -> Result<size_t> {
    auto in = static_cast<off64_t>(from_offset), out = static_cast<off64_t>(to_offset);
    ssize_t copied = 0;
    do {
      copied = ::copy_file_range(source->get(), &in, fd, &out, size, 0);
    } while (copied < 0 && errno == EINTR);
    if (copied < 0) return fail_errno(errno, about("copy to", to));
    return static_cast<size_t>(copied);
  });
}

Ticket WritableWorkdir::copy_file_range(InodeNumber from, uint64_t from_offset, InodeNumber to, uint64_t to_offset,
                                        uint64_t size, Completion<size_t> done) {
  if (to == kGitfileInode) {
    done(gitfile_refused());
    return nullptr;
  }
  const auto answered = std::make_shared<std::atomic<bool>>(false);
  Completion<size_t> answer = [answered, done = std::move(done)](Result<size_t> copied) mutable {
    *answered = true;
    done(std::move(copied));
  };
  auto copy = [this, from, from_offset, to, to_offset, size, done = std::move(answer)](Result<void> ready) mutable {
    if (!ready) return done(fail(ready.error()));
    const auto source = from == kGitfileInode ? Result<InodeView>(InodeView{}) : tree_->find(from);
    if (source && source->row && source->row->data == DataSource::upper) {
      const auto bytes = static_cast<size_t>(std::min(size, kCopyBytes));
      if (bytes <= kInlineCopyBytes) return done(copy_now(from, from_offset, to, to_offset, bytes));
      return disk_->submit([this, from, from_offset, to, to_offset, bytes, done = std::move(done)]() mutable {
        done(copy_now(from, from_offset, to, to_offset, bytes));
      });
    }
    // The caller's cancel() reached the copy-up; the read of one piece is left to end by itself.
    const auto bytes = static_cast<size_t>(std::min(size, CopyUps::kPieceBytes));
    (void)read(from, from_offset, bytes, [this, to, to_offset, done = std::move(done)](Result<ReadData> data) mutable {
      if (!data) return done(fail(data.error()));
      done(write_now(to, to_offset, {data->bytes.get(), data->size}, false));
    });
  };
  Ticket ticket = copy_ups_->ensure(to, kEverything, std::move(copy));
  if (*answered) return nullptr;
  return ticket != nullptr ? ticket : std::make_shared<Running>();
}

// ---- fsync

void WritableWorkdir::sync_now(InodeNumber inode, bool data_only, Completion<void> done) {
  const uint64_t commits = tree_->db().commits();
  const auto view = tree_->find(inode);
  const auto synced = [&]() -> Result<void> {
    TRY(view);
    if (view->row && view->row->data == DataSource::upper) {
      TRY_ASSIGN(const UpperFiles::File file, upper_->file(inode));
      if ((data_only ? ::fdatasync(file->get()) : ::fsync(file->get())) != 0) {
        return fail_errno(errno, about("sync", inode));
      }
    }
    // Names in upper/ before the rows that count on them. What fsync promises of a directory are its rows.
    TRY(upper_->sync_names());
    return tree_->db().sync(commits);
  }();
  done(synced);
}

Ticket WritableWorkdir::fsync(InodeNumber inode, bool data_only, Completion<void> done) {
  if (inode == kGitfileInode) {
    done({});
    return nullptr;
  }
  disk_->submit(
      [this, inode, data_only, done = std::move(done)]() mutable { sync_now(inode, data_only, std::move(done)); });
  return std::make_shared<Running>();
}

}  // namespace artifactfs
