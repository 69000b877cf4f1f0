#include "fetch/curl_loop.h"

#include <algorithm>
#include <cstring>

#include "fetch/http_error.h"

namespace artifactfs {

namespace {

constexpr int kPollMilliseconds = 60'000;  // commands wake the loop; curl's own timers shorten it

CURLM* make_multi() {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)initialized;
  CURLM* multi = curl_multi_init();
  curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, CurlLoop::kMaxConnectionsPerHost);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, CurlLoop::kMaxConnectionsPerHost);
  curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
  return multi;
}

std::string bare_type(const char* content_type) {
  std::string type = content_type == nullptr ? "" : content_type;
  type.resize(std::min(type.find(';'), type.size()));
  while (type.ends_with(' ')) type.pop_back();
  std::ranges::transform(type, type.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return type;
}

}  // namespace

CurlTransfer::CurlTransfer(CurlHandle handle, CurlList headers, std::string body, TransportCounters& counters)
    : handle_(std::move(handle)), headers_(std::move(headers)), body_(std::move(body)), counters_(counters) {
  CURL* easy = handle_.get();
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers_.get());
  if (!body_.empty()) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body_.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body_.data());
  }
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &CurlTransfer::on_write);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_text_);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, this);
}

size_t CurlTransfer::on_write(char* data, size_t size, size_t count, void* self) {
  return static_cast<CurlTransfer*>(self)->take({data, size * count});
}

size_t CurlTransfer::take(std::string_view bytes) {
  MutexLock lock(mutex_);
  if (!head_) head_ = current_head();
  const size_t waiting = buffer_.size() - buffer_begin_;
  if (waiting > 0 && waiting + bytes.size() > kBufferBytes) {
    paused_ = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  if (buffer_begin_ > 0 && buffer_begin_ >= buffer_.size() / 2) {
    buffer_.erase(0, buffer_begin_);
    buffer_begin_ = 0;
  }
  buffer_.append(bytes);
  counters_.bytes_received.fetch_add(bytes.size(), std::memory_order_relaxed);
  if (waiting == 0) changed_.notify_all();
  return bytes.size();
}

HttpHead CurlTransfer::current_head() const {
  HttpHead head;
  CURL* easy = handle_.get();
  const char* text = nullptr;
  curl_off_t seconds = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &head.status);
  if (curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &text) == CURLE_OK) head.content_type = bare_type(text);
  if (curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &text) == CURLE_OK && text != nullptr) head.redirect_url = text;
  if (curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0) {
    head.retry_after_seconds = static_cast<uint64_t>(seconds);
  }
  curl_easy_getinfo(easy, CURLINFO_HTTPAUTH_AVAIL, &head.auth_offered);
  return head;
}

// Called once, by the loop, after the handle has left the multi.
void CurlTransfer::finish(CURLcode code) {
  long connects = 0, request_bytes = 0;
  curl_easy_getinfo(handle_.get(), CURLINFO_NUM_CONNECTS, &connects);
  curl_easy_getinfo(handle_.get(), CURLINFO_REQUEST_SIZE, &request_bytes);
  counters_.connections.fetch_add(static_cast<uint64_t>(std::max(connects, 0L)), std::memory_order_relaxed);
  counters_.bytes_sent.fetch_add(static_cast<uint64_t>(std::max(request_bytes, 0L)), std::memory_order_relaxed);
  MutexLock lock(mutex_);
  // Again: curl tells where a redirect leads only at the end.
  if (code == CURLE_OK) head_ = current_head();
  curl_easy_getinfo(handle_.get(), CURLINFO_HTTP_CONNECTCODE, &proxy_status_);
  curl_easy_getinfo(handle_.get(), CURLINFO_OS_ERRNO, &os_error_);
  end_ = code;
  changed_.notify_all();
}

Error CurlTransfer::failure() const {
  if (cancelled_) return {ErrorCode::cancelled, "cannot fetch", "the request was cancelled"};
  std::string detail = error_text_;
  // curl's words for a failed connection leave out why.
  if (*end_ == CURLE_COULDNT_CONNECT && os_error_ != 0) {
    detail += " (" + errno_error(static_cast<int>(os_error_), "").cause + ")";
  }
  return curl_failure(*end_, detail, proxy_status_, head_.has_value());
}

Result<HttpHead> CurlTransfer::head() {
  MutexLock lock(mutex_);
  while (!head_ && !end_ && !cancelled_) changed_.wait(lock);
  if (cancelled_ || !head_) return fail(failure());
  return *head_;
}

Result<size_t> CurlTransfer::read(std::span<std::byte> into) {
  MutexLock lock(mutex_);
  while (buffer_.size() == buffer_begin_ && !end_ && !cancelled_) changed_.wait(lock);
  if (cancelled_) return fail(failure());
  const size_t n = std::min(into.size(), buffer_.size() - buffer_begin_);
  if (n == 0) {
    if (*end_ != CURLE_OK) return fail(failure());
    return size_t{0};
  }
  std::memcpy(into.data(), buffer_.data() + buffer_begin_, n);
  buffer_begin_ += n;
  const bool wake_curl = paused_ && buffer_.size() - buffer_begin_ <= kBufferBytes / 2;
  if (wake_curl) paused_ = false;
  lock.unlock();
  if (wake_curl) loop_->resume(this);
  return n;
}

void CurlTransfer::cancel() noexcept {
  {
    MutexLock lock(mutex_);
    if (cancelled_) return;
    cancelled_ = true;
    changed_.notify_all();
  }
  if (loop_ != nullptr) loop_->remove(this);
}

CurlLoop::CurlLoop() : multi_(make_multi()), thread_([this] { run(); }) {}

CurlLoop::~CurlLoop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  curl_multi_wakeup(multi_);
  thread_.join();
  curl_multi_cleanup(multi_);
}

void CurlLoop::add(const std::shared_ptr<CurlTransfer>& transfer) {
  transfer->loop_ = this;
  transfer->counters_.requests.fetch_add(1, std::memory_order_relaxed);
  post({Command::Kind::add, transfer, transfer.get()});
}

void CurlLoop::post(Command command) {
  {
    MutexLock lock(mutex_);
    commands_.push_back(std::move(command));
  }
  curl_multi_wakeup(multi_);
}

void CurlLoop::run() {
  for (;;) {
    std::vector<Command> commands;
    {
      MutexLock lock(mutex_);
      if (stopping_) break;
      commands.swap(commands_);
    }
    for (auto& command : commands) execute(command);
    int running = 0;
    curl_multi_perform(multi_, &running);
    collect_finished();
    curl_multi_poll(multi_, nullptr, 0, kPollMilliseconds, nullptr);
  }
  while (!transfers_.empty()) end_transfer(transfers_.begin()->first, CURLE_ABORTED_BY_CALLBACK);
}

void CurlLoop::execute(Command& command) {
  if (command.kind == Command::Kind::add) {
    CURL* easy = command.transfer->handle_.get();
    transfers_[command.transfer] = std::move(command.added);
    if (curl_multi_add_handle(multi_, easy) != CURLM_OK) end_transfer(command.transfer, CURLE_FAILED_INIT);
    return;
  }
  if (!transfers_.contains(command.transfer)) return;
  if (command.kind == Command::Kind::resume) {
    curl_easy_pause(command.transfer->handle_.get(), CURLPAUSE_CONT);
  } else {
    end_transfer(command.transfer, CURLE_ABORTED_BY_CALLBACK);
  }
}

void CurlLoop::collect_finished() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    char* self = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &self);
    end_transfer(reinterpret_cast<CurlTransfer*>(self), message->data.result);
  }
}

void CurlLoop::end_transfer(CurlTransfer* transfer, CURLcode code) {
  const auto found = transfers_.find(transfer);
  const std::shared_ptr<CurlTransfer> kept = std::move(found->second);
  transfers_.erase(found);
  curl_multi_remove_handle(multi_, kept->handle_.get());
  kept->finish(code);
}

}  // namespace artifactfs
