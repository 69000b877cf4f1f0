// GitProgram: fetching with the git program itself, for remotes that our client cannot serve a mount from: protocol
// v0/v1 only, no shallow or filter support, dumb HTTP. Everything of one commit is downloaded then, contents included.
//
// git runs in the store's bare repository (never in a mount) with the user's cleaned environment, so its configuration
// and credential helpers apply. Thread-safe; calls block.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "fetch/protocol.h"
#include "fetch/remote_url.h"
#include "fetch/transport.h"

namespace artifactfs {

class GitProgram {
 public:
  GitProgram(RemoteUrl remote, TransportContext context, std::filesystem::path git_directory)
      : remote_(std::move(remote)), context_(std::move(context)), git_directory_(std::move(git_directory)) {}

  /// HEAD (with its target), heads and tags, as ProtocolClient::ls_refs.
  Result<std::vector<RemoteRef>> ls_refs();

  /// Downloads `ref` (a full name or an oid) with all it needs, one commit deep where the server can.
  Result<void> fetch(const std::string& ref);

 private:
  Result<std::string> run(std::vector<std::string> arguments);

  const RemoteUrl remote_;
  const TransportContext context_;
  const std::filesystem::path git_directory_;
};

}  // namespace artifactfs
