// CurlLoop: one thread that drives libcurl's multi interface, and CurlTransfer: one HTTP exchange on it whose answer a
// blocking reader takes at its own pace.
//
// A loop belongs to one transport rather than to the process: what curl shares within a multi handle (connections,
// TLS sessions, client certificates) then never crosses from one remote or user to another, and ending the transport
// ends everything of it. An idle loop costs one sleeping thread.
//
// The loop's thread only moves bytes: the write callback appends to the transfer's buffer, and pauses the transfer
// while the buffer is full (kBufferBytes), so a slow reader stops the server through TCP instead of growing memory.
//
// HTTP/2 streams are not multiplexed over one connection: in libcurl a paused stream can stall its neighbours, and
// interactive requests must never wait for background ones.
#pragma once

#include <curl/curl.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"

namespace artifactfs {

struct TransportCounters {
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> bytes_received{0};
  std::atomic<uint64_t> bytes_sent{0};
  std::atomic<uint64_t> connections{0};
};

struct CurlHandleDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct CurlListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using CurlHandle = std::unique_ptr<CURL, CurlHandleDeleter>;
using CurlList = std::unique_ptr<curl_slist, CurlListDeleter>;

/// What is known of an answer when its body begins.
struct HttpHead {
  long status = 0;
  std::string content_type;  // in lower case, without parameters
  std::string redirect_url;  // absolute; empty unless 3xx
  uint64_t retry_after_seconds = 0;
  long auth_offered = 0;  // CURLAUTH_* bits of a 401
};

class CurlLoop;

/// Made and read by one thread, driven by the loop's; cancel() from any.
class CurlTransfer {
 public:
  static constexpr size_t kBufferBytes = size_t{1} << 20;

  /// `handle` is fully set up but for where the answer goes; `headers` and `body` are what it points to.
  CurlTransfer(CurlHandle handle, CurlList headers, std::string body, TransportCounters& counters);

  /// Blocks until the answer's head has come. Fails when the exchange fails before.
  Result<HttpHead> head();
  /// Blocks until there is a byte; 0 at the end of the body.
  Result<size_t> read(std::span<std::byte> into);
  /// Any thread; head() and read() fail with ErrorCode::cancelled at once.
  void cancel() noexcept;

 private:
  friend class CurlLoop;
  static size_t on_write(char* data, size_t size, size_t count, void* self);
  size_t take(std::string_view bytes);
  HttpHead current_head() const;
  void finish(CURLcode code);
  Error failure() const REQUIRES(mutex_);

  const CurlHandle handle_;  // the loop's thread only, once it is added
  const CurlList headers_;
  const std::string body_;
  TransportCounters& counters_;
  char error_text_[CURL_ERROR_SIZE] = {};  // written by curl while the transfer runs, read after its end
  CurlLoop* loop_ = nullptr;               // constant once added

  Mutex mutex_;
  CondVar changed_;
  std::string buffer_ GUARDED_BY(mutex_);
  size_t buffer_begin_ GUARDED_BY(mutex_) = 0;  // bytes of buffer_ already read
  std::optional<HttpHead> head_ GUARDED_BY(mutex_);
  bool paused_ GUARDED_BY(mutex_) = false;
  bool cancelled_ GUARDED_BY(mutex_) = false;
  std::optional<CURLcode> end_ GUARDED_BY(mutex_);
  long proxy_status_ GUARDED_BY(mutex_) = 0;  // of a proxy's answer to CONNECT
  long os_error_ GUARDED_BY(mutex_) = 0;      // errno of the last failed connect
};

/// Thread-safe.
class CurlLoop {
 public:
  static constexpr long kMaxConnectionsPerHost = 8;

  CurlLoop();
  /// Ends what is under way as cancelled.
  ~CurlLoop();
  CurlLoop(const CurlLoop&) = delete;
  CurlLoop& operator=(const CurlLoop&) = delete;

  void add(const std::shared_ptr<CurlTransfer>& transfer);
  /// Takes a transfer off, whether it is done or not.
  void remove(const std::shared_ptr<CurlTransfer>& transfer) { remove(transfer.get()); }

 private:
  friend class CurlTransfer;
  struct Command {
    enum class Kind : uint8_t { add, resume, remove } kind;
    std::shared_ptr<CurlTransfer> added;  // add
    CurlTransfer* transfer;               // looked up in transfers_, never followed unless found there
  };
  void remove(CurlTransfer* transfer) { post({Command::Kind::remove, nullptr, transfer}); }
  void resume(CurlTransfer* transfer) { post({Command::Kind::resume, nullptr, transfer}); }
  void post(Command command);
  void run();
  void execute(Command& command);
  void collect_finished();
  void end_transfer(CurlTransfer* transfer, CURLcode code);

  CURLM* const multi_;
  std::map<CurlTransfer*, std::shared_ptr<CurlTransfer>> transfers_;  // the loop's thread only
  Mutex mutex_;
  std::vector<Command> commands_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace artifactfs
