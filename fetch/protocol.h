// ProtocolClient: git protocol v2 (gitprotocol-v2(5)) over a Transport: capabilities, ls-refs, fetch, object-info.
//
// Thread-safe: each call is one exchange on the transport; the capability advertisement is asked for once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "base/object_id.h"
#include "fetch/pack_reader.h"
#include "fetch/transport.h"

namespace artifactfs {

/// What the server advertised. Serializable, so that a later mount may skip the question.
struct ServerCapabilities {
  int protocol_version = 2;    // 0 or 1: only the git program can fetch here
  bool fetch_shallow = false;  // fetch=shallow
  bool fetch_filter = false;   // fetch=filter
  bool object_info = false;
  bool ref_prefix_unborn = false;  // ls-refs=unborn
  std::string object_format = "sha1";
  std::string agent;
};

struct RemoteRef {
  std::string name;  // "HEAD", "refs/heads/main"
  ObjectId oid;      // null for an unborn HEAD
  std::optional<ObjectId> peeled;
  std::optional<std::string> symbolic_target;
};

struct FetchRequest {
  std::vector<ObjectId> wants;
  std::vector<ObjectId> haves;
  std::vector<ObjectId> shallow;   // commits that are shallow on our side
  std::optional<uint32_t> deepen;  // commits from each want; 1 is the tip alone
  bool deepen_relative = false;
  std::string filter;  // "blob:none", "tree:0", "blob:limit=16384"; empty for none. Needs fetch_filter.
  bool include_tag = false;
};

struct FetchAnswer {
  std::vector<ObjectId> shallow;
  std::vector<ObjectId> unshallow;
  uint64_t objects = 0;
  uint64_t pack_bytes = 0;
};

/// Lets another thread end a call that is under way. cancel() is sticky and thread-safe.
class Cancellation {
 public:
  void cancel();
  bool cancelled() const { return cancelled_.load(); }

 private:
  friend class ProtocolClient;
  std::atomic<bool> cancelled_{false};
  Mutex mutex_;
  Response* current_ GUARDED_BY(mutex_) = nullptr;
};

class ProtocolClient {
 public:
  /// `known`: capabilities remembered from an earlier session; then the first command goes out at once, and if the
  /// server answers it with anything but protocol v2 the advertisement is asked for after all.
  explicit ProtocolClient(Transport& transport, std::optional<ServerCapabilities> known = std::nullopt);

  Result<ServerCapabilities> capabilities(Cancellation* cancellation = nullptr);

  /// Refs whose full name begins with one of `prefixes` (all refs when empty), HEAD with its target, tags peeled.
  /// Against a v0/v1 server (where the advertisement itself lists the refs) it answers from that.
  Result<std::vector<RemoteRef>> ls_refs(std::span<const std::string> prefixes, Cancellation* cancellation = nullptr);

  /// Fetches and feeds the pack to `reader` as it streams. `progress` gets the server's sideband-2 text, line by line.
  /// Objects delivered before a failure stay delivered. Errors: ErrorCode::refused_object when the server said
  /// "not our ref" or the like (cause: its words), protocol, corrupt, unavailable, timeout, cancelled.
  /// `pack_bytes_sink`, when set, sees every byte of the pack too (to keep it on disk).
  Result<FetchAnswer> fetch(const FetchRequest& request, PackReader& reader,
                            const std::function<void(std::string_view)>& progress = {},
                            const std::function<Result<void>(std::span<const std::byte>)>& pack_bytes_sink = {},
                            Cancellation* cancellation = nullptr);

  /// One optional size an oid, in order; nullopt for an id that the server does not know. Needs `object_info`.
  Result<std::vector<std::optional<uint64_t>>> object_sizes(std::span<const ObjectId> oids,
                                                            Cancellation* cancellation = nullptr);

 private:
  Transport& transport_;
  Mutex mutex_;
  std::optional<ServerCapabilities> capabilities_ GUARDED_BY(mutex_);
  std::vector<RemoteRef> advertised_refs_ GUARDED_BY(mutex_);  // v0/v1 only
};

}  // namespace artifactfs
