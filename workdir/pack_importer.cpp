#include "workdir/pack_importer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

namespace artifactfs {

namespace {
constexpr size_t kWriteBufferBytes = size_t{256} << 10;
}  // namespace

Result<std::unique_ptr<PackImporter>> PackImporter::begin(const std::filesystem::path& git_directory) {
  std::filesystem::path pack_directory = git_directory / "objects" / "pack";
  std::string temporary = (pack_directory / "tmp_pack_XXXXXX").string();
  UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return fail_errno(errno, "cannot create a pack in '" + pack_directory.string() + "'");
  return std::unique_ptr<PackImporter>(new PackImporter(std::move(pack_directory), temporary, std::move(fd)));
}

PackImporter::~PackImporter() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<void> PackImporter::append_pack(std::span<const std::byte> bytes) {
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  if (buffer_.size() < kWriteBufferBytes) return {};
  TRY(write_all(fd_.get(), buffer_));
  buffer_.clear();
  return {};
}

Result<void> PackImporter::finish(const ObjectId& pack_checksum) {
  if (entries_.empty()) return {};
  TRY(write_all(fd_.get(), buffer_));
  buffer_.clear();
  if (::fchmod(fd_.get(), 0444) != 0 || ::fsync(fd_.get()) != 0) {
    return fail_errno(errno, "cannot write '" + temporary_.string() + "'");
  }
  // git finds a pack by its .idx: that one comes last.
  const std::string stem = (pack_directory_ / ("pack-" + pack_checksum.hex())).string();
  TRY(write_file_atomically(stem + ".promisor", "", 0444));
  if (::rename(temporary_.c_str(), (stem + ".pack").c_str()) != 0) {
    return fail_errno(errno, "cannot create '" + stem + ".pack'");
  }
  temporary_.clear();
  TRY(write_pack_index(stem + ".idx", entries_, pack_checksum));
  return {};
}

Result<void> PackImporter::begin_object(ObjectType type, uint64_t size_bytes) {
  type_ = type;
  current_.clear();
  current_.reserve(static_cast<size_t>(std::min<uint64_t>(size_bytes, uint64_t{1} << 20)));
  return {};
}

Result<void> PackImporter::content(std::span<const std::byte> chunk) {
  current_.insert(current_.end(), chunk.begin(), chunk.end());
  return {};
}

Result<void> PackImporter::end_object(const ObjectId& oid, uint64_t pack_offset, uint32_t crc32) {
  Objects& objects = type_ == ObjectType::tree ? trees_ : type_ == ObjectType::commit ? commits_ : others_;
  objects[oid] = std::move(current_);
  current_ = {};
  entries_.push_back({oid, pack_offset, crc32});
  return {};
}

Result<size_t> PackImporter::read_base(const ObjectId& oid, ObjectType type, uint64_t offset,
                                       std::span<std::byte> into) {
  const Objects& objects = type == ObjectType::tree ? trees_ : type == ObjectType::commit ? commits_ : others_;
  const auto it = objects.find(oid);
  if (it == objects.end() || offset > it->second.size()) {
    return fail(ErrorCode::corrupt, "cannot read delta base '" + oid.hex() + "'", "not in the pack");
  }
  const size_t size = std::min(into.size(), it->second.size() - static_cast<size_t>(offset));
  if (size != 0) std::memcpy(into.data(), it->second.data() + offset, size);
  return size;
}

Result<CommitRow> parse_commit(const ObjectId& oid, std::span<const std::byte> content) {
  const std::string sentence = "cannot read commit '" + oid.hex() + "'";
  const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
  CommitRow row{oid, {}, 0};
  const auto tree = text.starts_with("tree ") ? ObjectId::from_hex(text.substr(5, ObjectId::kHexDigits)) : std::nullopt;
  if (!tree) return fail(ErrorCode::corrupt, sentence, "it names no tree");
  row.tree = *tree;
  // The header ends at the first empty line; "committer <name> <email> <seconds> <zone>".
  const std::string_view header = text.substr(0, text.find("\n\n"));
  const size_t committer = header.find("\ncommitter ");
  if (committer == std::string_view::npos) return fail(ErrorCode::corrupt, sentence, "it names no committer");
  std::string_view line = header.substr(committer + 1);
  line = line.substr(0, line.find('\n'));
  const size_t email_end = line.rfind("> ");
  if (email_end != std::string_view::npos) {
    const std::string_view seconds = line.substr(email_end + 2);
    std::from_chars(seconds.data(), seconds.data() + seconds.size(), row.committer_time);
  }
  return row;
}

}  // namespace artifactfs
