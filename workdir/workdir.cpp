#include "workdir/workdir.h"

#include <utility>

#include "workdir/base_workdir.h"
#include "workdir/gitdir.h"
#include "workdir/writable_workdir.h"

namespace artifactfs {

Result<std::unique_ptr<Workdir>> Workdir::open(std::shared_ptr<Store> store, const Snapshot& snapshot,
                                               const WorkdirOptions& options) {
  const auto gitdir = options.directory / "git";
  if (!is_gitdir(gitdir)) {
    GitdirSpec spec;
    spec.directory = gitdir;
    spec.store_objects = store->git_directory() / "objects";
    spec.remote_url = store->remote().display();
    spec.branch = snapshot.branch;
    spec.upstream_branch = snapshot.branch;
    spec.commit = snapshot.commit;
    spec.owner = options.owner;
    TRY(create_gitdir(spec, snapshot.local_refs, snapshot.shallow));
  }
  if (options.read_only) return std::make_unique<BaseWorkdir>(std::move(store), snapshot, options);
  return WritableWorkdir::open(std::move(store), snapshot, options);
}

}  // namespace artifactfs
