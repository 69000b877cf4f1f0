// Rooms: how the daemon makes the things it wires together. The real ones in the program, fakes in tests.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "daemon/git_services.h"
#include "fetch/remote_url.h"
#include "fetch/transport.h"
#include "fuse/session.h"
#include "workdir/store.h"
#include "workdir/workdir.h"

namespace artifactfs {

struct Rooms {
  std::function<std::string(const RemoteUrl&)> store_id;
  std::function<Result<std::shared_ptr<Store>>(const std::filesystem::path& directory, const RemoteUrl&,
                                               const TransportContext&)>
      open_store;
  std::function<Result<std::unique_ptr<Workdir>>(std::shared_ptr<Store>, const Snapshot&, const WorkdirOptions&)>
      open_workdir;
  std::function<Result<std::unique_ptr<FuseSession>>(const std::filesystem::path& directory, const FuseOptions&,
                                                     Filesystem&, std::function<void()> on_end)>
      mount_session;
  std::function<Result<std::unique_ptr<GitServices>>(const GitServicesSpec&, Store&, Workdir&)> start_git_services;
};

}  // namespace artifactfs
