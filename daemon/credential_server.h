// The credential server: answers git's credential helper in one mount (base/credential_protocol.h) from what the
// mount's Store asks its server with. Secrets are in memory only; whoever asks has been found to be the mount's owner
// or root by the OwnerSocket.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/subprocess.h"
#include "daemon/owner_socket.h"
#include "fetch/remote_url.h"
#include "workdir/store.h"

namespace artifactfs {

/// Whether git would ask a credential helper about the remote.
bool has_credentials(const RemoteUrl& remote);

/// The answer to one question. Only about the store's own remote; "erase" makes the store forget what was refused.
std::string answer_credential_question(std::string_view question, Store& store);

/// `workspace`: mounts/<mount-id>. The store must outlive the socket.
Result<std::unique_ptr<OwnerSocket>> start_credential_server(const std::filesystem::path& workspace,
                                                             const UserIds& owner, Store& store);

}  // namespace artifactfs
