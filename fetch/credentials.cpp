#include "fetch/credentials.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"

namespace artifactfs {

namespace {

constexpr std::chrono::milliseconds kCancelInterval{20};
constexpr size_t kMaxAnswerBytes = 65536;

// git-credential(1): one "key=value" a line; neither may hold a newline or a NUL, by which one could be smuggled in.
Result<std::string> describe(const CredentialQuestion& question, const Credential* credential) {
  std::string out;
  bool clean = true;
  const auto add = [&](std::string_view key, std::string_view value) {
    if (value.find_first_of(std::string_view("\n\r\0", 3)) != std::string_view::npos) clean = false;
    if (!value.empty()) out.append(key).append("=").append(value).append("\n");
  };
  add("protocol", question.protocol);
  add("host", question.host);
  add("path", question.path);
  add("username", credential != nullptr ? credential->username : question.username);
  if (credential != nullptr) add("password", credential->password);
  if (!clean) {
    return fail(ErrorCode::invalid_argument, "cannot ask for credentials", "a value contains a line break");
  }
  return out + "\n";
}

std::optional<Credential> parse_answer(std::string_view answer) {
  std::optional<std::string> username, password;
  while (!answer.empty()) {
    const size_t end = std::min(answer.find('\n'), answer.size());
    const std::string_view line = answer.substr(0, end);
    answer.remove_prefix(std::min(end + 1, answer.size()));
    if (line.starts_with("username=")) username = line.substr(9);
    if (line.starts_with("password=")) password = line.substr(9);
  }
  if (!username || !password) return std::nullopt;
  return Credential{*username, *password};
}

}  // namespace

CredentialQuestion credential_question(const RemoteUrl& remote) {
  CredentialQuestion question;
  question.protocol = remote.scheme == RemoteScheme::https ? "https" : "http";
  question.host = remote.host.find(':') == std::string::npos ? remote.host : "[" + remote.host + "]";
  if (remote.port != 0) question.host += ":" + std::to_string(remote.port);
  question.path = percent_decode(remote.path.starts_with('/') ? remote.path.substr(1) : remote.path);
  if (remote.credentials) question.username = remote.credentials->username;
  return question;
}

Result<std::string> CredentialHelper::run(std::string_view verb, const std::string& input, std::chrono::seconds timeout,
                                          const CancelCheck& cancelled) const {
  const std::string sentence = "cannot run 'git credential " + std::string(verb) + "'";
  SubprocessOptions options;
  options.argv = {"git", "credential", std::string(verb)};
  options.environment = context_.environment;
  if (!environment_value(options.environment, "GIT_TERMINAL_PROMPT")) {
    set_environment_value(options.environment, "GIT_TERMINAL_PROMPT", "0");
  }
  options.working_directory = context_.working_directory;
  options.user = context_.user;
  options.pipe_stdin = options.pipe_stdout = true;  // helpers' stderr may hold anything: it goes to /dev/null
  TRY_ASSIGN(Subprocess child, Subprocess::start(options));
  // A question is far smaller than a pipe's buffer, so this cannot block; a child that has gone away says EPIPE.
  if (write_all(child.stdin_fd(), std::as_bytes(std::span(input)))) child.close_stdin();
  std::string answer;
  const auto deadline = Clock::system().now() + timeout;
  for (;;) {
    if (cancelled && cancelled()) return fail(ErrorCode::cancelled, sentence, "the caller went away");
    if (Clock::system().now() > deadline) return fail(ErrorCode::timeout, sentence, "it did not answer in time");
    pollfd readable{child.stdout_fd(), POLLIN, 0};
    const int ready = ::poll(&readable, 1, static_cast<int>(kCancelInterval.count()));
    if (ready < 0 && errno != EINTR) return fail_errno(errno, sentence);
    if (ready <= 0) continue;
    char buffer[4096];
    const ssize_t n = ::read(child.stdout_fd(), buffer, sizeof buffer);
    if (n < 0 && errno != EINTR) return fail_errno(errno, sentence);
    if (n == 0) break;
    if (n > 0) answer.append(buffer, static_cast<size_t>(n));
    if (answer.size() > kMaxAnswerBytes) return fail(ErrorCode::protocol, sentence, "its answer is too long");
  }
  TRY_ASSIGN(const int status, child.wait());
  if (status != 0) return fail(ErrorCode::not_found, sentence, "no helper knows the answer");
  return answer;
}

Result<std::optional<Credential>> CredentialHelper::fill(const CredentialQuestion& question,
                                                         const CancelCheck& cancelled) const {
  TRY_ASSIGN(const std::string input, describe(question, nullptr));
  auto answer = run("fill", input, kFillTimeout, cancelled);
  if (!answer && answer.error().code == ErrorCode::not_found) return std::nullopt;
  if (!answer) return fail(answer.error());
  return parse_answer(*answer);
}

void CredentialHelper::tell(std::string_view verb, const CredentialQuestion& question,
                            const Credential& credential) const {
  auto input = describe(question, &credential);
  if (!input) return;
  if (auto told = run(verb, *input, kStoreTimeout, {}); !told) {
    log::warning("cannot tell git's credential helpers ({}): {}", verb, told.error().text());
  }
}

void CredentialHelper::approve(const CredentialQuestion& question, const Credential& credential) const {
  tell("approve", question, credential);
}

void CredentialHelper::reject(const CredentialQuestion& question, const Credential& credential) const {
  tell("reject", question, credential);
}

Authenticator::Authenticator(TransportContext context, CredentialQuestion question, std::optional<Credential> from_url)
    : helper_(std::move(context)), question_(std::move(question)) {
  current_.credential = std::move(from_url);
}

Authenticator::Current Authenticator::current() const {
  MutexLock lock(mutex_);
  return current_;
}

Result<Authenticator::Current> Authenticator::after_refusal(uint64_t generation, const CancelCheck& cancelled) {
  const std::string sentence = "cannot log in";
  MutexLock lock(mutex_);
  const uint64_t failed_before = failed_fills_;
  while (filling_) {
    filled_.wait_until(lock, Clock::system().now() + kCancelInterval);
    if (cancelled && cancelled()) return fail(ErrorCode::cancelled, sentence, "the caller went away");
  }
  if (generation != current_.generation) return current_;
  const std::optional<Credential> refused = current_.credential;
  if (failed_fills_ == failed_before) {
    filling_ = true;
    const bool tell_helper = from_helper_;
    lock.unlock();
    if (refused && tell_helper) helper_.reject(question_, *refused);
    auto found = helper_.fill(question_, cancelled);
    lock.lock();
    filling_ = false;
    filled_.notify_all();
    if (!found && found.error().code == ErrorCode::cancelled) return fail(found.error());
    if (found && *found) {
      ++current_.generation;
      current_.credential = std::move(*found);
      from_helper_ = true;
      approved_ = false;
      return current_;
    }
    ++failed_fills_;
    if (!found) return fail(ErrorCode::unauthorized, sentence, found.error().text());
  }
  return fail(ErrorCode::unauthorized, sentence,
              refused ? "the server refuses the user name or password"
                      : "the server wants a user name and password, and neither the URL nor netrc nor git's credential "
                        "helpers have them");
}

void Authenticator::give_up(uint64_t generation) {
  MutexLock lock(mutex_);
  if (generation != current_.generation || !current_.credential) return;
  const Credential refused = std::move(*current_.credential);
  const bool tell_helper = from_helper_;
  current_.credential.reset();
  ++current_.generation;
  lock.unlock();
  if (tell_helper) helper_.reject(question_, refused);
}

void Authenticator::forget(const Credential& refused) {
  MutexLock lock(mutex_);
  if (current_.credential != refused) return;
  current_.credential.reset();
  ++current_.generation;
}

void Authenticator::succeeded(uint64_t generation) {
  MutexLock lock(mutex_);
  if (generation != current_.generation || !current_.credential || !from_helper_ || approved_) return;
  approved_ = true;
  const Credential credential = *current_.credential;
  lock.unlock();
  helper_.approve(question_, credential);
}

}  // namespace artifactfs
