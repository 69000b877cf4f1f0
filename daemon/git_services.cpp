#include "daemon/git_services.h"

#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"
#include "base/unique_fd.h"
#include "daemon/credential_server.h"
#include "daemon/fsmonitor_server.h"
#include "daemon/mount_target.h"
#include "workdir/base_index_stats.h"
#include "workdir/git_index.h"
#include "workdir/gitdir.h"
#include "workdir/lock_file.h"
#include "workdir/projected_objects.h"

namespace artifactfs {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHookProgram = "artifactfs-fsmonitor";
constexpr std::string_view kCredentialProgram = "artifactfs-credential";

// The programs that git runs are installed beside the daemon.
Result<fs::path> program_beside(std::string_view name) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  fs::path program = self.parent_path() / name;
  if (error || ::access(program.c_str(), X_OK) != 0) {
    return fail(ErrorCode::not_found, "cannot find '" + std::string(name) + "'",
                "it should be beside '" + self.string() + "'");
  }
  return program;
}

// The links that the configuration names are made anew at each mount: the programs may have moved with an upgrade.
Result<void> link_program(std::string_view name, const fs::path& link, const UserIds& owner) {
  TRY_ASSIGN(const fs::path program, program_beside(name));
  ::unlink(link.c_str());
  if (::symlink(program.c_str(), link.c_str()) != 0) return fail_errno(errno, "cannot create '" + link.string() + "'");
  return give_to(link, owner);
}

// git's default for core.excludesFile, unless the configuration names another one.
fs::path excludes_file(const Environment& environment) {
  SubprocessOptions options;
  options.argv = {"git", "config", "--type=path", "core.excludesFile"};
  options.environment = environment;
  const auto configured = run_subprocess(std::move(options), {}, Clock::system().now() + std::chrono::seconds(5));
  if (configured && configured->status == 0 && !configured->out.empty()) {
    return configured->out.substr(0, configured->out.find('\n'));
  }
  if (const auto config_home = environment_value(environment, "XDG_CONFIG_HOME");
      config_home && !config_home->empty()) {
    return fs::path(*config_home) / "git/ignore";
  }
  if (const auto home = environment_value(environment, "HOME")) return fs::path(*home) / ".config/git/ignore";
  return {};
}

class MountGitServices final : public GitServices {
 public:
  MountGitServices(GitServicesSpec spec, Store& store, Workdir& workdir)
      : spec_(std::move(spec)), store_(store), workdir_(workdir) {}

  Result<void> start(const MountSession& mount_session) {
    const fs::path& workspace = spec_.workdir.directory;
    TRY(link_program(kHookProgram, workspace / kFsmonitorLinkName, spec_.workdir.owner));
    if (has_credentials(store_.remote())) {
      TRY(link_program(kCredentialProgram, workspace / kCredentialLinkName, spec_.workdir.owner));
      TRY_ASSIGN(credentials_, start_credential_server(workspace, spec_.workdir.owner, store_));
    }
    TRY(project_objects(workspace / kProjectedObjectsName, mount_session));
    if (spec_.is_new) TRY(write_index());
    return {};
  }

  Result<void> mounted(dev_t device) override {
    const FsmonitorMount mount{spec_.workdir.directory, spec_.workdir.owner, device, kRootInode};
    TRY_ASSIGN(fsmonitor_,
               FsmonitorServer::start(mount, [this](std::string_view token) { return workdir_.changes_since(token); }));
    return {};
  }

  void fill_in_sizes() override {
    MutexLock lock(mutex_);
    if (!written_) return;
    auto filled = write_with_sizes(true, written_);
    if (!filled) log::warning("{}", filled.error().text());
    written_.reset();
  }

 private:
  Result<void> project_objects(const fs::path& directory, const MountSession& mount_session) {
    TRY(detach_stale_mount(directory));
    TRY(make_directories(directory, 0755));
    TRY(give_to(directory, spec_.workdir.owner));
    TRY_ASSIGN(auto oids, blobs_of_tree(store_.index(), spec_.snapshot.tree));
    objects_.emplace(store_.objects(), std::move(oids), spec_.workdir.owner, spec_.workdir.fetch_timeout);
    FuseOptions options;
    options.source = "artifactfs-objects";
    options.read_only = true;
    options.allow_other = ::geteuid() == 0 && spec_.workdir.owner.uid != 0;
    options.session_threads = 1;
    options.open_reads = true;
    TRY_ASSIGN(objects_session_, mount_session(directory, options, *objects_, [] {}));
    return {};
  }

  Result<void> write_index() {
    MutexLock lock(mutex_);
    TRY_ASSIGN(const ChangedPaths now, workdir_.changes_since(""));
    token_ = now.token;
    excludes_file_ = excludes_file(spec_.environment);
    TRY_ASSIGN(written_, write_with_sizes(false, std::nullopt));
    return {};
  }

  Result<std::optional<ObjectId>> write_with_sizes(bool with_sizes, const std::optional<ObjectId>& expected)
      REQUIRES(mutex_) {
    GitIndexSpec index;
    index.git_directory = workdir_.git_directory();
    index.tree = spec_.snapshot.tree;
    index.work_tree = spec_.workdir.mount_point;
    index.excludes_file = excludes_file_;
    index.fsmonitor_token = token_;
    index.owner = spec_.workdir.owner;
    BaseIndexStats stats(store_.objects(), spec_.workdir.owner,
                         base_timestamp(spec_.snapshot.committer_time, spec_.workdir.directory), with_sizes);
    return write_git_index(index, store_.index(), stats, expected);
  }

  const GitServicesSpec spec_;
  Store& store_;
  Workdir& workdir_;
  std::optional<ProjectedObjects> objects_;
  std::unique_ptr<FuseSession> objects_session_;
  std::unique_ptr<FsmonitorServer> fsmonitor_;
  std::unique_ptr<OwnerSocket> credentials_;

  Mutex mutex_;
  std::string token_ GUARDED_BY(mutex_);
  fs::path excludes_file_ GUARDED_BY(mutex_);
  std::optional<ObjectId> written_ GUARDED_BY(mutex_);  // the checksum of the index that has no sizes yet
};

}  // namespace

Result<std::unique_ptr<GitServices>> start_git_services(const GitServicesSpec& spec, Store& store, Workdir& workdir,
                                                        const MountSession& mount_session) {
  auto services = std::make_unique<MountGitServices>(spec, store, workdir);
  TRY(services->start(mount_session));
  return services;
}

}  // namespace artifactfs
