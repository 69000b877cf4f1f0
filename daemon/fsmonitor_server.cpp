#include "daemon/fsmonitor_server.h"

#include <cstring>

#include "base/fsmonitor_protocol.h"
#include "base/log.h"

namespace artifactfs {

Result<std::unique_ptr<FsmonitorServer>> FsmonitorServer::start(const FsmonitorMount& mount, ChangeSource source) {
  auto server = std::unique_ptr<FsmonitorServer>(new FsmonitorServer(mount, std::move(source)));
  const OwnerSocketOptions options{mount.directory, kFsmonitorSocketName, mount.owner, kFsmonitorMaxTokenBytes,
                                   std::chrono::seconds(kFsmonitorTimeoutSeconds)};
  TRY_ASSIGN(server->socket_, OwnerSocket::start(options, [self = server.get()](std::string_view token) {
               return self->answer(token);
             }));
  return server;
}

std::string FsmonitorServer::answer(std::string_view token) const {
  FsmonitorReply header;
  header.device = mount_.device;
  header.inode = mount_.root_inode;
  std::string reply(sizeof header, '\0');
  append_body(reply, token);
  header.body_bytes = reply.size() - sizeof header;
  std::memcpy(reply.data(), &header, sizeof header);
  return reply;
}

void FsmonitorServer::append_body(std::string& reply, std::string_view token) const {
  auto changes = source_(token);
  if (!changes) {
    log::warning("{}", changes.error().text());
    return;
  }
  size_t bytes = changes->token.size() + 1;
  for (const auto& path : changes->paths) bytes += path.size() + 1;
  reply.append(changes->token) += '\0';
  if (changes->everything || changes->paths.size() > kMaxPaths || bytes > kFsmonitorMaxBodyBytes) {
    reply.append("/") += '\0';
    return;
  }
  reply.reserve(reply.size() + bytes);
  for (const auto& path : changes->paths) reply.append(path) += '\0';
}

}  // namespace artifactfs
