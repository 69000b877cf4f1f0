#include "tests/integration/git/working_tree.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <sstream>
#include <system_error>

#include "tests/integration/mount/artifactfs_runner.h"

namespace artifactfs::test {

namespace fs = std::filesystem;

namespace {

constexpr size_t kShownBytes = 200;

std::string described_content(const fs::path& file) {
  try {
    const std::string content = content_of(file);
    if (content.size() > kShownBytes || content.find('\0') != std::string::npos) {
      return fmt::format("{} bytes, hash {:x}", content.size(), std::hash<std::string>{}(content));
    }
    std::string shown;
    for (const char c : content) shown += c == '\n' ? "\\n" : c == '\r' ? "\\r" : std::string(1, c);
    return shown;
  } catch (const std::system_error& error) {
    return fmt::format("cannot be read: {}", error.code().message());
  }
}

void describe_below(const fs::path& root, const fs::path& directory, std::map<std::string, std::string>& lines) {
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().filename() == ".git") continue;
    const std::string name = entry.path().lexically_relative(root).string();
    struct stat st {};
    if (::lstat(entry.path().c_str(), &st) != 0) {
      lines[name] = fmt::format("lstat: {}", std::strerror(errno));
      continue;
    }
    std::string what;
    if (S_ISLNK(st.st_mode)) what = "-> " + fs::read_symlink(entry.path()).string();
    if (S_ISREG(st.st_mode)) what = described_content(entry.path());
    lines[name] = fmt::format("{:06o} {}", st.st_mode, what);
    if (S_ISDIR(st.st_mode)) describe_below(root, entry.path(), lines);
  }
}

std::map<std::string, int> counted_lines(const std::string& text) {
  std::map<std::string, int> counts;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) ++counts[line];
  return counts;
}

}  // namespace

std::string describe_tree(const fs::path& root) {
  std::map<std::string, std::string> lines;
  describe_below(root, root, lines);
  std::string text;
  for (const auto& [name, what] : lines) text += fmt::format("{} {}\n", name, what);
  return text;
}

std::string line_differences(const std::string& expected, const std::string& actual) {
  if (expected == actual) return "";
  auto counts = counted_lines(actual);
  for (const auto& [line, count] : counted_lines(expected)) counts[line] -= count;
  std::string text;
  for (const auto& [line, count] : counts) {
    if (count != 0) text += fmt::format("    {} {}\n", count < 0 ? '-' : '+', line);
  }
  return text.empty() ? "    the same lines in another order\n" : text;
}

}  // namespace artifactfs::test
