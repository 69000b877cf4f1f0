// Transport: how bytes reach a git server's upload-pack service and come back. One interface for HTTP(S), ssh, local
// paths and git://; protocol.h speaks protocol v2 over it (https://git-scm.com/docs/protocol-v2).
//
// Blocking by design: callers are fetch threads (never a FUSE worker), one per connection, so that the protocol code
// reads as straight lines. Everything that blocks ends soon after cancel() and after the stall timeout (no byte for
// kStallTimeout), whichever is first.
//
// Ownership: a Transport is shared by the fetch threads of one remote and is thread-safe; a Response belongs to one
// thread, but cancel() may come from any. Responses must be destroyed before their Transport.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/subprocess.h"
#include "fetch/remote_url.h"

namespace artifactfs {

/// One answer of the server, as a stream.
class Response {
 public:
  virtual ~Response() = default;
  /// Blocks until at least one byte is there; 0 at the end of the answer (for stateful transports: past its flush-pkt).
  virtual Result<size_t> read(std::span<std::byte> into) = 0;
  /// Any thread; read() then fails soon with ErrorCode::cancelled. Idempotent.
  virtual void cancel() noexcept = 0;
};

struct TransportStats {
  uint64_t requests = 0;
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
  uint64_t connections = 0;
};

/// What basic authentication wants. A secret: never logged, shown or stored.
struct Credential {
  std::string username;
  std::string password;
  friend bool operator==(const Credential&, const Credential&) = default;
};

class Transport {
 public:
  static constexpr std::chrono::seconds kConnectTimeout{30};
  static constexpr std::chrono::seconds kStallTimeout{60};

  virtual ~Transport() = default;

  /// The server's first words, i.e. its capability advertisement (v2) or v0/v1/dumb answer, as a stream.
  /// HTTP: GET <url>/info/refs?service=git-upload-pack, with the "# service" preamble already removed and a wrong
  /// content type reported as ErrorCode::protocol ("not a git server"), except a dumb server's text/plain, which is
  /// ErrorCode::not_supported. Credential prompting and redirects happen here.
  virtual Result<std::unique_ptr<Response>> advertisement() = 0;

  /// Sends one protocol v2 command (complete pkt-lines, flush included) and returns its answer. Here as for
  /// advertisement(), what fails on the way (connecting, credentials, the server's refusal) may be reported by the
  /// answer's first read() instead: so it can be cancelled.
  virtual Result<std::unique_ptr<Response>> command(std::string request) = 0;

  /// Ends everything under way with ErrorCode::cancelled; later calls fail at once. Any thread.
  virtual void shutdown() noexcept = 0;

  virtual TransportStats stats() const = 0;

  /// The server's latest wish (Retry-After) not to be asked again before; in the past when it has none.
  virtual TimePoint not_before() const { return {}; }

  /// What the remote's own server (not one that it redirects to) is asked with now, from the URL or git's credential
  /// helpers; nullopt when there is none or the transport knows none. Asks nobody.
  virtual std::optional<Credential> credential() const { return std::nullopt; }
  /// Somebody was refused with `refused`: if it is credential(), it is forgotten.
  virtual void forget_credential(const Credential& /*refused*/) {}
};

/// What a transport needs to know of the user on whose behalf it works.
struct TransportContext {
  Environment environment;      // cleaned: see without_git_variables()
  std::optional<UserIds> user;  // whom children run as
  /// Where git is run for configuration and credentials: a directory outside of any mount and any repository.
  std::string working_directory = "/";
  friend bool operator==(const TransportContext&, const TransportContext&) = default;
};

/// A transport for `remote`, by its scheme. Runs `git config` once to learn http.* settings and so on; fails with
/// ErrorCode::invalid_argument for a scheme that it does not know.
Result<std::unique_ptr<Transport>> make_transport(const RemoteUrl& remote, const TransportContext& context);

}  // namespace artifactfs
