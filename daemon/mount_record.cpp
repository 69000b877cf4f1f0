#include "daemon/mount_record.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>

#include "base/log.h"
#include "base/sha1.h"
#include "base/unique_fd.h"
#include "daemon/mount_target.h"
#include "workdir/gitdir.h"

namespace artifactfs {

namespace {

namespace fs = std::filesystem;

constexpr const char* kFileName = "mount.json";
constexpr std::string_view kDeletedPrefix = ".deleted-";
constexpr size_t kReadablePartLength = 40;
constexpr size_t kHashDigits = 12;

Result<MountRecord> parse(std::string_view text) {
  try {
    const auto json = nlohmann::json::parse(text);
    if (const int version = json.at("version").get<int>(); version > MountRecord::kVersion) {
      return fail(ErrorCode::not_supported, "", "it was written by a newer artifactfs");
    }
    MountRecord record;
    json.at("directory").get_to(record.directory);
    json.at("remote").get_to(record.remote);
    json.at("store").get_to(record.store);
    json.at("ref").get_to(record.ref);
    json.at("branch").get_to(record.branch);
    json.at("resolved_ref").get_to(record.resolved_ref);
    json.at("options").get_to(record.options);
    json.at("mounted").get_to(record.mounted);
    const auto commit = ObjectId::from_hex(json.at("commit").get<std::string>());
    // The store's name becomes part of a path.
    if (!commit || record.store.empty() || record.store.starts_with('.') || record.store.contains('/')) {
      return fail(ErrorCode::corrupt, "", "it is damaged");
    }
    record.commit = *commit;
    return record;
  } catch (const nlohmann::json::exception& e) {
    return fail(ErrorCode::corrupt, "", e.what());
  }
}

}  // namespace

std::string mount_id_of(const fs::path& directory) {
  std::string readable;
  for (const char c : directory.filename().string().substr(0, kReadablePartLength)) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || (c == '.' && !readable.empty());
    readable += plain ? c : '-';
  }
  Sha1 hash;
  hash.reset();
  hash.update(std::as_bytes(std::span(directory.native())));
  return readable + "-" + hash.finish().hex().substr(0, kHashDigits);
}

Result<std::optional<MountRecord>> read_mount_record(const fs::path& workspace) {
  const std::string sentence = "cannot read the workspace '" + workspace.string() + "'";
  std::error_code error;
  if (!fs::exists(workspace, error) && !error) return std::nullopt;
  const auto text = read_file(workspace / kFileName);
  if (!text) {
    if (text.error().code == ErrorCode::not_found && fs::is_empty(workspace, error) && !error) return std::nullopt;
    return fail(ErrorCode::corrupt, sentence, text.error().text());
  }
  auto record = parse(*text);
  if (!record) return fail(record.error().within(sentence));
  return std::move(*record);
}

Result<void> write_mount_record(const fs::path& workspace, const MountRecord& record) {
  // Searchable for the user whom root mounts it for (-o uid=); mount.json itself is private.
  TRY(make_directories(workspace, ::geteuid() == 0 ? 0711 : 0700));
  const nlohmann::json json = {{"version", MountRecord::kVersion},
                               {"directory", record.directory},
                               {"remote", record.remote},
                               {"store", record.store},
                               {"ref", record.ref},
                               {"commit", record.commit.hex()},
                               {"branch", record.branch},
                               {"resolved_ref", record.resolved_ref},
                               {"options", record.options},
                               {"mounted", record.mounted}};
  return write_file_atomically(workspace / kFileName,
                               json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

std::vector<KeptWorkspace> list_workspaces(const fs::path& mounts) {
  std::vector<KeptWorkspace> found;
  std::error_code error;
  for (fs::directory_iterator it(mounts, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with('.')) continue;
    auto record = read_mount_record(it->path());
    if (record && !*record) continue;
    if (record) {
      found.push_back({name, std::move(**record)});
    } else {
      found.push_back({name, std::unexpected(record.error())});
    }
  }
  std::ranges::sort(found, {}, &KeptWorkspace::mount_id);
  return found;
}

Result<void> delete_workspace(const fs::path& workspace) {
  const std::string sentence = "cannot delete the workspace '" + workspace.string() + "'";
  const fs::path doomed = workspace.parent_path() / (std::string(kDeletedPrefix) + workspace.filename().string());
  std::error_code error;
  TRY(detach_stale_mount(workspace / kProjectedObjectsName));  // of a daemon that was killed
  fs::remove_all(doomed, error);
  fs::rename(workspace, doomed, error);
  if (error == std::errc::no_such_file_or_directory) return {};
  if (error) return fail(errno_error(error.value(), sentence));
  fs::remove_all(doomed, error);
  if (error) return fail(errno_error(error.value(), sentence));
  return {};
}

void finish_deletions(const fs::path& mounts) {
  std::error_code error;
  for (fs::directory_iterator it(mounts, error), end; !error && it != end; it.increment(error)) {
    if (!it->path().filename().string().starts_with(kDeletedPrefix)) continue;
    std::error_code failed;
    fs::remove_all(it->path(), failed);
    if (failed) log::warning("cannot delete '{}': {}", it->path().string(), failed.message());
  }
}

control::MountStatus unmounted_status(const std::string& mount_id, const Result<MountRecord>& record,
                                      const fs::path& mounts) {
  control::MountStatus status;
  status.mount_id = mount_id;
  status.phase = "unmounted";
  if (!record) {
    status.last_error = record.error().text();
    return status;
  }
  status.directory = record->directory;
  status.remote = record->remote;
  status.ref = record->ref;
  status.commit = record->commit.hex();
  status.branch = record->branch;
  status.git_directory = (mounts / mount_id / "git").string();
  status.options = record->options;
  return status;
}

}  // namespace artifactfs
