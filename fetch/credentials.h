// Credentials of an HTTP remote: asking git's credential helpers (gitcredentials(7)) and remembering the answer.
// Secrets live only in memory here, are passed to git through its standard input and are never logged.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/mutex.h"
#include "fetch/transport.h"

namespace artifactfs {

/// What a credential is for, in git-credential(1)'s words.
struct CredentialQuestion {
  std::string protocol;  // "https"
  std::string host;      // with ":port" unless it is the default
  std::string path;      // without the leading slash; git drops it unless credential.useHttpPath is set
  std::string username;  // empty: any
};

/// The question for an http(s) remote.
CredentialQuestion credential_question(const RemoteUrl& remote);

using CancelCheck = std::function<bool()>;

/// Runs `git credential`, as the user and with the user's environment; GIT_TERMINAL_PROMPT is 0 unless the environment
/// says otherwise, since nobody sits at a daemon's terminal. Thread-safe.
class CredentialHelper {
 public:
  static constexpr std::chrono::seconds kFillTimeout{60};  // an askpass program may wait for a person
  static constexpr std::chrono::seconds kStoreTimeout{10};

  explicit CredentialHelper(TransportContext context) : context_(std::move(context)) {}

  /// nullopt when nobody knows any. `cancelled` is asked every 20 ms; then fails with ErrorCode::cancelled.
  Result<std::optional<Credential>> fill(const CredentialQuestion& question, const CancelCheck& cancelled) const;
  /// Tells the helpers that a credential worked, or did not. Failures are logged, not returned: nothing depends on it.
  void approve(const CredentialQuestion& question, const Credential& credential) const;
  void reject(const CredentialQuestion& question, const Credential& credential) const;

 private:
  Result<std::string> run(std::string_view verb, const std::string& input, std::chrono::seconds timeout,
                          const CancelCheck& cancelled) const;
  void tell(std::string_view verb, const CredentialQuestion& question, const Credential& credential) const;

  const TransportContext context_;
};

/// The credentials for one server: a redirect to another makes a new one. Concurrent requests that are refused ask the
/// helpers once. Thread-safe; no lock is held while a helper runs.
class Authenticator {
 public:
  /// `generation` counts up with every change, so that a refusal of an older credential is recognized as such.
  struct Current {
    uint64_t generation = 0;
    std::optional<Credential> credential;
  };

  Authenticator(TransportContext context, CredentialQuestion question, std::optional<Credential> from_url);

  Current current() const;
  /// The server answered 401 to a request with `generation`. Returns others: newer ones that another request has found
  /// meanwhile, or the helpers'. Fails with ErrorCode::unauthorized when there are none.
  Result<Current> after_refusal(uint64_t generation, const CancelCheck& cancelled);
  /// Also what after_refusal() returned was refused: the helpers are told, and it is forgotten.
  void give_up(uint64_t generation);
  /// Somebody else was refused with `refused` and has told the helpers: forgotten, if it is what we have.
  void forget(const Credential& refused);
  /// The server accepted `generation`; the first time, the helpers are told.
  void succeeded(uint64_t generation);

 private:
  const CredentialHelper helper_;
  const CredentialQuestion question_;
  mutable Mutex mutex_;
  CondVar filled_;
  Current current_ GUARDED_BY(mutex_);
  bool from_helper_ GUARDED_BY(mutex_) = false;  // else from the URL: the helpers are not to be told
  bool approved_ GUARDED_BY(mutex_) = false;
  bool filling_ GUARDED_BY(mutex_) = false;
  uint64_t failed_fills_ GUARDED_BY(mutex_) = 0;
};

}  // namespace artifactfs
