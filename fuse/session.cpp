#include "fuse/session.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"
#include "base/worker_pool.h"
#include "fuse/connection.h"
#include "fuse/invalidator.h"
#include "fuse/mount_point.h"
#include "fuse/operations.h"
#include "fuse/raw_request.h"

namespace artifactfs {

namespace {

// Ends a session thread's wait in read(2) of /dev/fuse. Nothing else makes that wait return while the connection lives,
// and a poll before each read costs every request a system call. SIGURG does nothing by default, so a stray one is
// harmless, as is its handler to the rest of the process.
constexpr int kWakeSignal = SIGURG;
// A thread may be told just before it starts to wait, so it is told again until it has heard.
constexpr Duration kWakeInterval = std::chrono::milliseconds(1);

void install_wake_handler() {
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    return ::sigaction(kWakeSignal, &action, nullptr) == 0;  // without SA_RESTART: that is the point
  }();
  if (!installed) log::warning("cannot install the handler of signal {}", kWakeSignal);
}

ssize_t write_device(int fd, iovec* parts, int count, void* connection) {
  return static_cast<Connection*>(connection)->settings.write(fd, parts, count);
}

ssize_t read_device(int fd, void* buffer, size_t size, void*) { return ::read(fd, buffer, size); }

struct DestroySession {
  void operator()(fuse_session* session) const { fuse_session_destroy(session); }
};

// What receive_buf() fills; libfuse allocates the memory.
struct RequestBuffer {
  RequestBuffer() = default;
  RequestBuffer(const RequestBuffer&) = delete;
  RequestBuffer& operator=(const RequestBuffer&) = delete;
  ~RequestBuffer() { std::free(buffer.mem); }
  fuse_buf buffer{};
};

// States of the kernel's end: serving -> ended (ENODEV to every thread). stopping_ is ours.
class KernelSession final : public FuseSession {
 public:
  KernelSession(Filesystem& filesystem, MountPoint mount_point, uint32_t max_read_bytes, std::function<void()> on_end)
      : connection_{.filesystem = filesystem, .settings = KernelSettings(max_read_bytes)},
        mount_point_(std::move(mount_point)),
        on_end_(std::move(on_end)) {}
  ~KernelSession() override;

  /// Takes over the descriptor, answers INIT and starts the threads.
  Result<void> start(UniqueFd device, uint32_t max_read_bytes, const FuseOptions& options);

  Result<void> unmount(bool lazy) override;
  FuseSessionStats stats() const override;
  void invalidate_inode(InodeNumber inode) override { invalidator_->inode(inode); }
  void invalidate_entry(InodeNumber parent, std::string name) override { invalidator_->entry(parent, std::move(name)); }

 private:
  Result<void> answer_init();
  void raise_readahead() const;
  void start_threads(unsigned count);
  void serve();
  void stop_threads();

  Connection connection_;
  const MountPoint mount_point_;
  const std::function<void()> on_end_;
  std::unique_ptr<fuse_session, DestroySession> session_;
  std::optional<Invalidator> invalidator_;
  std::vector<std::thread> threads_;

  std::atomic<uint64_t> requests_ = 0;
  std::atomic<bool> unmounting_ = false;  // by us, so the end is no news
  std::atomic<bool> stopping_ = false;
  Mutex mutex_;
  CondVar thread_ended_;
  size_t receiving_ GUARDED_BY(mutex_) = 0;  // threads that read requests
  size_t serving_ GUARDED_BY(mutex_) = 0;    // threads that have not finished, on_end included
};

KernelSession::~KernelSession() {
  unmounting_ = true;
  if (auto unmounted = mount_point_.unmount(true); !unmounted) log::warning("{}", unmounted.error().text());
  // While the threads still answer (now without ever parking), nobody in the kernel holds a page that the invalidator
  // may be waiting for.
  connection_.replies->close();
  invalidator_.reset();
  stop_threads();
  connection_.replies->wait_until_idle();
}

Result<void> KernelSession::start(UniqueFd device, uint32_t max_read_bytes, const FuseOptions& options) {
  fuse_args args = FUSE_ARGS_INIT(0, nullptr);
  fuse_opt_add_arg(&args, "artifactfs");
  // libfuse insists on being told here what init says too.
  if (max_read_bytes != 0) fuse_opt_add_arg(&args, fmt::format("-omax_read={}", max_read_bytes).c_str());
  session_.reset(fuse_session_new(&args, &operations(options.open_reads), sizeof(fuse_lowlevel_ops), &connection_));
  fuse_opt_free_args(&args);
  const std::string sentence = fmt::format("cannot serve '{}'", mount_point_.directory());
  if (!session_) return fail(ErrorCode::internal, sentence, "libfuse could not make a session (see the log)");
  const fuse_custom_io io{
      .writev = write_device, .read = read_device, .splice_receive = nullptr, .splice_send = nullptr};
  if (const int error = fuse_session_custom_io(session_.get(), &io, device.get()); error != 0) {
    return fail_errno(-error, sentence);
  }
  device.release();  // the session closes it
  if (auto answered = answer_init(); !answered) return fail(answered.error().within(sentence));
  raise_readahead();
  invalidator_.emplace(session_.get());
  start_threads(options.session_threads);
  return {};
}

Result<void> KernelSession::answer_init() {
  RequestBuffer request;
  int size;
  do {
    size = fuse_session_receive_buf(session_.get(), &request.buffer);
  } while (size == -EINTR);
  if (size < 0) return fail_errno(-size, "cannot read from /dev/fuse");
  if (size == 0 || !connection_.settings.note_offer(
                       {static_cast<const std::byte*>(request.buffer.mem), static_cast<size_t>(size)})) {
    return fail(ErrorCode::protocol, "cannot talk to the kernel", "it was unmounted at once");
  }
  fuse_session_process_buf(session_.get(), &request.buffer);
  if (fuse_session_exited(session_.get())) {
    return fail(ErrorCode::protocol, "cannot agree with the kernel", "see the log for libfuse's reason");
  }
  return {};
}

// The kernel reads no more at once than its readahead window, 128 KiB, which INIT can only lower. Where sysfs may be
// written (root, outside most containers) the window gets the size of the largest request.
void KernelSession::raise_readahead() const {
  const std::string path = fmt::format("/sys/class/bdi/{}/read_ahead_kb", mount_point_.device());
  const std::string kib = std::to_string(connection_.settings.max_read_bytes() / 1024);
  Result<UniqueFd> fd = open_file(path, O_WRONLY);
  Result<void> written = fd ? write_all(fd->get(), std::as_bytes(std::span(kib))) : fail(fd.error());
  if (!written) log::debug("{}; large files are read in smaller pieces", written.error().text());
}

void KernelSession::start_threads(unsigned count) {
  install_wake_handler();
  // Threads inherit the mask: signals are for the threads that expect them.
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, kWakeSignal);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  {
    MutexLock lock(mutex_);
    receiving_ = count;
    serving_ = count;
  }
  for (unsigned i = 0; i < count; ++i) {
    threads_.emplace_back([this, i] {
      set_thread_name(fmt::format("fuse-{}", i));
      serve();
    });
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void KernelSession::serve() {
  RequestBuffer request;
  while (!stopping_) {
    const int size = fuse_session_receive_buf(session_.get(), &request.buffer);
    if (size == -EINTR || size == -EAGAIN) continue;
    if (size <= 0) break;
    requests_.fetch_add(1, std::memory_order_relaxed);
    const RawRequest raw({static_cast<const std::byte*>(request.buffer.mem), static_cast<size_t>(size)});
    if (raw.answer_tmpfile(fuse_session_fd(session_.get()), connection_.filesystem)) continue;
    fuse_session_process_buf(session_.get(), &request.buffer);
  }
  bool last;
  {
    MutexLock lock(mutex_);
    last = --receiving_ == 0;
  }
  if (last && !unmounting_) {
    connection_.replies->close();
    if (on_end_) on_end_();
  }
  MutexLock lock(mutex_);
  --serving_;
  thread_ended_.notify_all();
}

void KernelSession::stop_threads() {
  stopping_ = true;
  {
    MutexLock lock(mutex_);
    while (serving_ != 0) {
      for (std::thread& thread : threads_) pthread_kill(thread.native_handle(), kWakeSignal);
      thread_ended_.wait_until(lock, Clock::system().now() + kWakeInterval);
    }
  }
  for (std::thread& thread : threads_) thread.join();
}

Result<void> KernelSession::unmount(bool lazy) {
  unmounting_ = true;
  Result<void> unmounted = mount_point_.unmount(lazy);
  if (!unmounted) unmounting_ = false;
  return unmounted;
}

FuseSessionStats KernelSession::stats() const {
  return {.requests = requests_.load(std::memory_order_relaxed),
          .parked = connection_.replies->size(),
          .max_read_bytes = connection_.settings.max_read_bytes(),
          .max_background = KernelSettings::kMaxBackground};
}

}  // namespace

Result<std::unique_ptr<FuseSession>> FuseSession::mount(const std::filesystem::path& directory,
                                                        const FuseOptions& options, Filesystem& filesystem,
                                                        std::function<void()> on_end) {
  route_libfuse_log();
  TRY_ASSIGN(const MountOptions mount_options, parse_mount_options(options));
  TRY_ASSIGN(auto mounted, MountPoint::mount(directory, mount_options));
  auto session = std::make_unique<KernelSession>(filesystem, std::move(mounted.first), mount_options.max_read_bytes,
                                                 std::move(on_end));
  TRY(session->start(std::move(mounted.second), mount_options.max_read_bytes, options));
  return session;
}

}  // namespace artifactfs
