#include "fetch/transport.h"

#include "fetch/git_config.h"
#include "fetch/http_transport.h"
#include "fetch/stream_transport.h"

namespace artifactfs {

namespace {

// url.<base>.insteadOf is the user's wish; what it leads to is parsed as any remote. User info of the URL itself stays
// with the server that it was written for.
Result<RemoteUrl> rewritten(const RemoteUrl& remote, const GitConfig& config, const TransportContext& context) {
  const std::string shown = remote.display();
  const std::string wanted = config.instead_of(shown);
  if (wanted == shown) return remote;
  TRY_ASSIGN(RemoteUrl url, RemoteUrl::parse(wanted, context.working_directory));
  if (!url.credentials && url.scheme == remote.scheme && url.host == remote.host && url.port == remote.port) {
    url.credentials = remote.credentials;
  }
  return url;
}

}  // namespace

Result<std::unique_ptr<Transport>> make_transport(const RemoteUrl& remote, const TransportContext& context) {
  TRY_ASSIGN(GitConfig config, GitConfig::load(context));
  TRY_ASSIGN(const RemoteUrl url, rewritten(remote, config, context));
  if (url.scheme == RemoteScheme::http || url.scheme == RemoteScheme::https) {
    return HttpTransport::make(url, std::move(config), context);
  }
  return make_stream_transport(url, config, context);
}

}  // namespace artifactfs
