#include "cli/fsmonitor/asking_command.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace artifactfs {

namespace {

constexpr size_t kMaxCommandLineBytes = size_t{16} << 10;  // what is longer is judged by its beginning
constexpr size_t kPathBytes = 64;

constexpr std::array<std::string_view, 8> kOptionsWithValue = {
    "-C", "-c", "--git-dir", "--work-tree", "--namespace", "--super-prefix", "--config-env", "--attr-source"};

// Commands that refresh the index before they compare it with a commit, or never do. Other names may be aliases.
constexpr std::array<std::string_view, 45> kOrdinary = {"add",
                                                        "am",
                                                        "apply",
                                                        "archive",
                                                        "bisect",
                                                        "blame",
                                                        "branch",
                                                        "checkout",
                                                        "cherry-pick",
                                                        "clean",
                                                        "commit",
                                                        "describe",
                                                        "diff-files",
                                                        "fetch",
                                                        "fsck",
                                                        "gc",
                                                        "grep",
                                                        "log",
                                                        "ls-files",
                                                        "ls-tree",
                                                        "merge",
                                                        "merge-tree",
                                                        "notes",
                                                        "pull",
                                                        "push",
                                                        "read-tree",
                                                        "rebase",
                                                        "repack",
                                                        "reset",
                                                        "restore",
                                                        "revert",
                                                        "rev-list",
                                                        "rev-parse",
                                                        "show",
                                                        "sparse-checkout",
                                                        "stash",
                                                        "status",
                                                        "switch",
                                                        "tag",
                                                        "update-index",
                                                        "worktree",
                                                        "write-tree",
                                                        "submodule",
                                                        "submodule--helper",
                                                        "checkout-index"};

// Takes the next word off `rest`.
std::string_view next_word(std::string_view& rest) {
  const size_t end = rest.find('\0');
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return word;
}

std::string_view base_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// Something that may be a commit: an argument before "--" that is no option.
bool has_operand(std::string_view rest) {
  while (!rest.empty()) {
    const std::string_view word = next_word(rest);
    if (word == "--") return false;
    if (!word.starts_with('-')) return true;
  }
  return false;
}

bool read_file(const char* name, char* into, size_t capacity, size_t& size) {
  const int fd = ::open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  size = 0;
  ssize_t n = 0;
  while (size < capacity && (n = ::read(fd, into + size, capacity - size)) > 0) size += static_cast<size_t>(n);
  ::close(fd);
  return size > 0;
}

pid_t parent_of(pid_t pid) {
  char name[kPathBytes];
  char text[1024];
  size_t size = 0;
  std::snprintf(name, sizeof name, "/proc/%d/stat", static_cast<int>(pid));
  if (!read_file(name, text, sizeof text - 1, size)) return 0;
  text[size] = '\0';
  const char* after_name = std::strrchr(text, ')');  // ") S <parent> ..."
  if (after_name == nullptr || std::strlen(after_name) < 5) return 0;
  return static_cast<pid_t>(std::strtol(after_name + 4, nullptr, 10));
}

}  // namespace

AskingCommand classify_asking_command(std::string_view command_line) {
  std::string_view command = base_name(next_word(command_line));
  if (command.starts_with("git-")) {
    command.remove_prefix(4);
  } else {
    command = next_word(command_line);
    while (command.starts_with('-')) {
      if (std::ranges::find(kOptionsWithValue, command) != kOptionsWithValue.end()) next_word(command_line);
      command = next_word(command_line);
    }
  }
  if (command == "mv" || command == "rm") return AskingCommand::writes_gitmodules;
  if (std::ranges::find(kOrdinary, command) != kOrdinary.end()) return AskingCommand::ordinary;
  if (command == "diff-index") return AskingCommand::needs_everything;
  return has_operand(command_line) ? AskingCommand::needs_everything : AskingCommand::ordinary;
}

AskingCommand asking_command() {
  static char command_line[kMaxCommandLineBytes];
  pid_t pid = ::getppid();
  for (int generation = 0; generation < 2 && pid > 1; ++generation, pid = parent_of(pid)) {
    char name[kPathBytes];
    size_t size = 0;
    std::snprintf(name, sizeof name, "/proc/%d/cmdline", static_cast<int>(pid));
    if (!read_file(name, command_line, sizeof command_line, size)) break;
    const std::string_view line(command_line, size);
    if (base_name(line.substr(0, line.find('\0'))).starts_with("git")) return classify_asking_command(line);
  }
  return AskingCommand::ordinary;
}

}  // namespace artifactfs
