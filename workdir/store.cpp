#include "workdir/store.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/log.h"
#include "base/sha1.h"
#include "base/unique_fd.h"
#include "workdir/remote_store.h"

namespace artifactfs {

namespace {

// A bare repository that only shares objects: nobody works in it, and git must not tidy it.
constexpr std::string_view kStoreConfig =
    "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
    "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[transfer]\n\tunpackLimit = 1\n[fetch]\n\tunpackLimit = 1\n";

Result<void> make_store_repository(const std::filesystem::path& git_directory) {
  if (auto head = open_file(git_directory / "HEAD", 0)) return {};
  for (const char* sub : {"objects/pack", "objects/info", "refs/heads", "refs/tags"}) {
    TRY(make_directories(git_directory / sub, 0755));
  }
  TRY(write_file_atomically(git_directory / "config", kStoreConfig, 0644));
  return write_file_atomically(git_directory / "HEAD", "ref: refs/heads/none\n", 0644);
}

}  // namespace

std::string Store::remote_id(const RemoteUrl& remote) {
  const std::string canonical = remote.canonical();
  std::string readable;
  for (const char c : canonical.substr(canonical.find("://") == std::string::npos ? 0 : canonical.find("://") + 3)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.';
    if (plain) {
      readable += c;
    } else if (!readable.empty() && readable.back() != '-') {
      readable += '-';
    }
  }
  if (readable.size() > 60) readable = readable.substr(readable.size() - 60);
  while (!readable.empty() && (readable.front() == '.' || readable.front() == '-')) readable.erase(0, 1);
  Sha1 hash;
  hash.update(std::as_bytes(std::span(canonical)));
  return readable + "-" + hash.finish().hex().substr(0, 16);
}

Result<std::shared_ptr<Store>> Store::open(const std::filesystem::path& directory, const RemoteUrl& remote,
                                           const TransportContext& context) {
  log::debug("opening store '{}'", directory.string());
  TRY(make_directories(directory));
  TRY(make_store_repository(directory / "git"));
  TRY_ASSIGN(auto index, TreeIndex::open(directory / "index.db"));
  TRY_ASSIGN(auto blobs, BlobStore::open(directory / "blobs"));
  TRY_ASSIGN(auto database, Git2ObjectDatabase::open(directory / "git" / "objects"));
  log::debug("store '{}': databases are open", directory.string());
  TRY_ASSIGN(auto transport, make_transport(remote, context));
  log::debug("store '{}': git's configuration is read", directory.string());
  return std::make_shared<RemoteStore>(directory, remote, context, std::move(index), std::move(blobs),
                                       std::move(database), std::move(transport));
}

}  // namespace artifactfs
