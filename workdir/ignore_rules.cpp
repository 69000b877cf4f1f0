#include "workdir/ignore_rules.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/unique_fd.h"
#include "workdir/gitdir_command.h"

namespace artifactfs {

namespace {

constexpr std::string_view kHere = "./";  // before each path: it may look like pathspec magic

}  // namespace

IgnoreRules::IgnoreRules(std::filesystem::path git_directory, std::filesystem::path scratch, const UserIds& owner)
    : git_directory_(std::move(git_directory)), scratch_(std::move(scratch)), owner_(owner) {}

IgnoreRules::~IgnoreRules() {
  std::error_code ignored;
  if (made_) std::filesystem::remove_all(scratch_, ignored);
}

// Root's, so that its owner cannot put a link in our way; readable by the owner's git through its group.
Result<void> IgnoreRules::make_scratch() {
  if (made_) return {};
  std::error_code error;
  std::filesystem::remove_all(scratch_, error);
  const std::string sentence = "cannot create '" + scratch_.string() + "'";
  if (::mkdir(scratch_.c_str(), 0700) != 0) return fail_errno(errno, sentence);
  made_ = true;
  if (::geteuid() != 0) return {};
  if (::chown(scratch_.c_str(), 0, owner_.gid) != 0 || ::chmod(scratch_.c_str(), 0710) != 0) {
    return fail_errno(errno, sentence);
  }
  return {};
}

Result<void> IgnoreRules::make_directory(const std::string& directory) {
  TRY(make_scratch());
  std::filesystem::path path = scratch_;
  for (const auto& name : std::filesystem::path(directory)) {
    if (name.empty()) continue;
    path /= name;
    if (::mkdir(path.c_str(), 0755) == 0) {
      if (::chmod(path.c_str(), 0755) != 0) return fail_errno(errno, "cannot create '" + path.string() + "'");
    } else if (errno != EEXIST) {
      return fail_errno(errno, "cannot create '" + path.string() + "'");
    }
  }
  return {};
}

Result<void> IgnoreRules::add_file(const std::string& directory, std::string_view content) {
  TRY(make_directory(directory));
  const auto path = scratch_ / (directory + ".gitignore");
  TRY_ASSIGN(const UniqueFd file, open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  if (::fchmod(file.get(), 0644) != 0) return fail_errno(errno, "cannot create '" + path.string() + "'");
  return write_all(file.get(), std::as_bytes(std::span(content)));
}

Result<std::vector<bool>> IgnoreRules::ignored(std::span<const std::string> paths) {
  TRY(make_scratch());
  std::string input;
  for (const auto& path : paths) {
    if (path.ends_with('/')) TRY(make_directory(path));
    input.append(kHere).append(path) += '\0';
  }
  TRY_ASSIGN(const auto output,
             run_in_gitdir({git_directory_, owner_, {"check-ignore", "-z", "--stdin", "--no-index"}, scratch_, input}));
  if (output.status > 1) {  // 1: none is
    return fail(ErrorCode::io, "cannot ask git what is ignored", output.err);
  }
  std::unordered_set<std::string_view> found;
  for (std::string_view left = output.out; !left.empty();) {
    const size_t end = std::min(left.find('\0'), left.size());
    const std::string_view line = left.substr(0, end);
    found.insert(line.starts_with(kHere) ? line.substr(kHere.size()) : line);
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  std::vector<bool> out;
  out.reserve(paths.size());
  for (const auto& path : paths) out.push_back(found.contains(path));
  return out;
}

}  // namespace artifactfs
