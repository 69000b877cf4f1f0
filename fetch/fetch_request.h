// FetchRequest: what one protocol v2 `fetch` command asks for, and its form on the wire.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/object_id.h"
#include "fetch/pkt_line.h"
#include "fetch/server_capabilities.h"

namespace artifactfs {

struct FetchRequest {
  std::vector<ObjectId> wants = {};
  std::vector<ObjectId> haves = {};
  std::vector<ObjectId> shallow = {};             // commits that are shallow on our side
  std::optional<uint32_t> deepen = std::nullopt;  // commits from each want; 1 is the tip alone
  bool deepen_relative = false;
  std::string filter = {};  // "blob:none", "tree:0", "blob:limit=16384"; empty for none. Needs fetch_filter.
  bool include_tag = false;
};

/// The packets of a `fetch` command. ErrorCode::not_supported for what the server does not offer, invalid_argument for
/// a request without wants or with words that cannot be sent.
Result<std::string> fetch_command(const ServerCapabilities& server, const FetchRequest& request, bool want_progress);

/// Begins a v2 command: its name, what every command says of us, and the delimiter.
PktLineWriter begin_command(const ServerCapabilities& server, std::string_view name);

/// ErrorCode::invalid_argument when `word` is too long for a packet or has a byte that ends a line.
Result<void> check_sendable(std::string_view word);

}  // namespace artifactfs
