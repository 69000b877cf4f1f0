// artifactfs-daemon: started by `artifactfs daemon`, `artifactfs mount --foreground`, or by `artifactfs mount` when
// none runs.
#include "daemon/daemon_main.h"

int main(int argc, char** argv) {
  using namespace artifactfs;
  return daemon_main(argc, argv,
                     {&Store::remote_id, &Store::open, &Workdir::open, &FuseSession::mount,
                      [](const GitServicesSpec& spec, Store& store, Workdir& workdir) {
                        return start_git_services(spec, store, workdir, &FuseSession::mount);
                      }});
}
