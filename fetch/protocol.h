// ProtocolClient: git protocol v2 (gitprotocol-v2(5)) over a Transport: capabilities, ls-refs, fetch, object-info.
//
// Thread-safe: each call is one exchange on the transport; the capability advertisement is asked for once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "base/object_id.h"
#include "fetch/advertisement.h"
#include "fetch/cancellation.h"
#include "fetch/fetch_answer.h"
#include "fetch/fetch_request.h"
#include "fetch/pack_reader.h"
#include "fetch/remote_ref.h"
#include "fetch/server_capabilities.h"
#include "fetch/transport.h"

namespace artifactfs {

class ProtocolClient {
 public:
  /// `known`: capabilities remembered from an earlier session; then the first command goes out at once, and if the
  /// server answers it with anything but protocol v2 the advertisement is asked for after all.
  explicit ProtocolClient(Transport& transport, std::optional<ServerCapabilities> known = std::nullopt);

  /// What was remembered, else what the server says. ErrorCode::not_supported (cause: "it uses SHA-256 object names")
  /// for a repository that we cannot use.
  Result<ServerCapabilities> capabilities(Cancellation* cancellation = nullptr);

  /// Refs whose full name begins with one of `prefixes` (all refs when empty), and always HEAD, with its target (null
  /// oid when unborn); tags peeled. Refs with names that git would not accept are left out.
  /// Against a v0/v1 server (where the advertisement itself lists the refs) it answers from that.
  Result<std::vector<RemoteRef>> ls_refs(std::span<const std::string> prefixes, Cancellation* cancellation = nullptr);

  /// Fetches and feeds the pack to `reader` as it streams. `progress` gets the server's sideband-2 text, line by line.
  /// Objects delivered before a failure stay delivered. Errors: ErrorCode::refused_object when the server said
  /// "not our ref" or the like (cause: its words), protocol, corrupt, unavailable, timeout, cancelled.
  /// An answer that ends early is `unavailable`, never `corrupt`. On success reader.finish() has been called.
  /// `pack_bytes_sink`, when set, sees every byte of the pack too (to keep it on disk), before `reader` does.
  Result<FetchAnswer> fetch(const FetchRequest& request, PackReader& reader,
                            const std::function<void(std::string_view)>& progress = {},
                            const std::function<Result<void>(std::span<const std::byte>)>& pack_bytes_sink = {},
                            Cancellation* cancellation = nullptr);

  /// One optional size an oid, in order; nullopt for an id that the server does not know. Needs `object_info`.
  Result<std::vector<std::optional<uint64_t>>> object_sizes(std::span<const ObjectId> oids,
                                                            Cancellation* cancellation = nullptr);

 private:
  /// Capabilities for one command, and whether this server has ever been seen to have them.
  struct Capabilities {
    ServerCapabilities server;
    bool confirmed = false;
  };
  /// How far a command came, for deciding whether remembered capabilities were to blame for its failure.
  struct Attempt {
    bool cut_at_start = false;
    bool delivered = false;  // the caller has seen some of the answer: it cannot be repeated
  };

  Result<Advertisement> ask(Cancellation* cancellation);
  /// Waits for another thread that asks already.
  Result<Capabilities> current(Cancellation* cancellation);
  void confirm();
  void forget_unconfirmed();
  /// Runs `command(server, attempt)`; once more with fresh capabilities if remembered ones may have misled it.
  template <typename Command>
  auto with_capabilities(Cancellation* cancellation, Command command)
      -> decltype(command(ServerCapabilities(), std::declval<Attempt&>()));
  /// Sends `request` and hands each packet of the answer to `take` until that returns true.
  template <typename Take>
  Result<void> exchange(std::string request, Cancellation* cancellation, Attempt& attempt, Take take);
  Result<std::vector<RemoteRef>> ls_refs_v2(const ServerCapabilities& server, std::span<const std::string> prefixes,
                                            Cancellation* cancellation, Attempt& attempt);
  Result<std::vector<RemoteRef>> advertised_refs(Cancellation* cancellation);

  Transport& transport_;
  Mutex mutex_;
  CondVar asked_;
  bool asking_ GUARDED_BY(mutex_) = false;
  std::optional<Capabilities> capabilities_ GUARDED_BY(mutex_);
  // v0/v1 only, and only until the first ls_refs(): a later one wants news.
  std::optional<std::vector<RemoteRef>> advertised_refs_ GUARDED_BY(mutex_);
};

}  // namespace artifactfs
