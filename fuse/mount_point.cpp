#include "fuse/mount_point.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdarg>
#include <cstdio>
#include <optional>

#include "base/clock.h"
#include "base/log.h"
#include "base/subprocess.h"
#include "fuse/kernel_settings.h"
#include "fuse/lowlevel.h"
// After lowlevel.h, which sets the version of the library's interface.
#include <fuse.h>

namespace artifactfs {

namespace {

constexpr const char* kDevice = "/dev/fuse";
constexpr const char* kType = "fuse.artifactfs";
constexpr uint32_t kMinReadBytes = 4096;  // the kernel rounds anything smaller up
constexpr Duration kFusermountTimeout = std::chrono::seconds(30);

// What libfuse said last on this thread, while somebody wants to know.
thread_local std::string* captured_log = nullptr;

void write_libfuse_log(fuse_log_level level, const char* format, va_list arguments) {
  std::array<char, 1024> text;
  const int size = std::vsnprintf(text.data(), text.size(), format, arguments);
  std::string_view message(text.data(), std::clamp<size_t>(static_cast<size_t>(std::max(size, 0)), 0, text.size() - 1));
  while (message.ends_with('\n')) message.remove_suffix(1);
  if (captured_log != nullptr) {
    *captured_log = message;
  } else if (level <= FUSE_LOG_ERR) {
    log::error("{}", message);
  } else if (level <= FUSE_LOG_WARNING) {
    log::warning("{}", message);
  } else {
    log::debug("{}", message);
  }
}

struct FlagOption {
  std::string_view name;
  unsigned long flag;
  bool sets;
};
// suid and dev are missing on purpose: a remote's content never gets privileges here. So is allow_root: libfuse would
// enforce it request by request, and what the kernel has cached needs no request.
constexpr FlagOption kFlagOptions[] = {
    {"ro", MS_RDONLY, true},          {"rw", MS_RDONLY, false},      {"nosuid", MS_NOSUID, true},
    {"nodev", MS_NODEV, true},        {"noexec", MS_NOEXEC, true},   {"exec", MS_NOEXEC, false},
    {"atime", MS_NOATIME, false},     {"noatime", MS_NOATIME, true}, {"sync", MS_SYNCHRONOUS, true},
    {"async", MS_SYNCHRONOUS, false}, {"dirsync", MS_DIRSYNC, true},
};
// For fusermount3, which is told in words.
constexpr FlagOption kFlagWords[] = {
    {"nosuid", MS_NOSUID, true},   {"nodev", MS_NODEV, true},     {"ro", MS_RDONLY, true},
    {"noexec", MS_NOEXEC, true},   {"noatime", MS_NOATIME, true}, {"sync", MS_SYNCHRONOUS, true},
    {"dirsync", MS_DIRSYNC, true},
};

Result<uint32_t> parse_max_read(std::string_view digits) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value < kMinReadBytes ||
      value > KernelSettings::kMaxRequestBytes) {
    return fail(
        ErrorCode::invalid_argument, fmt::format("cannot mount with option 'max_read={}'", digits),
        fmt::format("must be a number of bytes from {} to {}", kMinReadBytes, KernelSettings::kMaxRequestBytes));
  }
  return value;
}

// The kernel writes space, tab, newline and backslash as \ooo.
std::string unescape(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      const auto digit = [&](size_t at) { return text[i + at] - '0'; };
      result.push_back(static_cast<char>(digit(1) * 64 + digit(2) * 8 + digit(3)));
      i += 3;
    } else {
      result.push_back(text[i]);
    }
  }
  return result;
}

// The mount that a lookup of `directory` ends in: the last one made there.
Result<std::optional<MountEntry>> top_mount(const std::string& directory) {
  TRY_ASSIGN(const std::string text, read_file("/proc/self/mountinfo"));
  std::optional<MountEntry> top;
  for (MountEntry& entry : parse_mountinfo(text)) {
    if (entry.directory == directory) top = std::move(entry);
  }
  return top;
}

Result<void> check_directory(const std::string& directory) {
  const std::string sentence = fmt::format("cannot mount on '{}'", directory);
  TRY_ASSIGN(const std::optional<MountEntry> top, top_mount(directory));
  if (top && top->type == kType) {
    return fail(ErrorCode::already_exists, sentence,
                fmt::format("already a mount of artifactfs; unmount it first, or if its daemon is gone: umount -l '{}'",
                            directory));
  }
  struct stat stat;
  if (::stat(directory.c_str(), &stat) != 0) {
    if (errno == ENOTCONN) {
      return fail(ErrorCode::already_exists, sentence,
                  fmt::format("a dead mount is in the way; remove it: umount -l '{}'", directory));
    }
    return fail_errno(errno, sentence);
  }
  if (!S_ISDIR(stat.st_mode)) return fail(ErrorCode::not_directory, sentence, "not a directory");
  return {};
}

Result<UniqueFd> open_device(const std::string& sentence) {
  Result<UniqueFd> fd = open_file(kDevice, O_RDWR);
  if (fd) return fd;
  const ErrorCode code = fd.error().code;
  if (code == ErrorCode::permission_denied) {
    return fail(code, sentence, fmt::format("no permission to open {0} (chmod 666 {0}, or run as root)", kDevice));
  }
  return fail(code == ErrorCode::not_found ? ErrorCode::not_supported : code, sentence,
              fmt::format("cannot open {0}: the kernel has no FUSE (try: modprobe fuse; in a container: --device {0})",
                          kDevice));
}

bool may_allow_other() {
  const Result<std::string> text = read_file("/etc/fuse.conf");
  if (!text) return false;
  size_t at = 0;
  while (at < text->size()) {
    const size_t end = std::min(text->find('\n', at), text->size());
    if (std::string_view(*text).substr(at, end - at).starts_with("user_allow_other")) return true;
    at = end + 1;
  }
  return false;
}

// Commas and backslashes in a value end it otherwise.
std::string escape_option(std::string_view text) {
  std::string result;
  for (char c : text) {
    if (c == ',' || c == '\\') result.push_back('\\');
    result.push_back(c);
  }
  return result;
}

Result<UniqueFd> mount_with_fusermount(const std::string& directory, const MountOptions& options) {
  const std::string sentence = fmt::format("cannot mount on '{}'", directory);
  if (options.allow_other && ::geteuid() != 0 && !may_allow_other()) {
    return fail(ErrorCode::permission_denied, sentence,
                "allow_other needs the line 'user_allow_other' in /etc/fuse.conf");
  }
  std::string words = fmt::format("default_permissions,subtype=artifactfs,fsname={}", escape_option(options.source));
  for (const FlagOption& word : kFlagWords) {
    if (options.flags & word.flag) words.append(",").append(word.name);
  }
  if (options.allow_other) words.append(",allow_other");
  if (options.max_read_bytes != 0) words.append(fmt::format(",max_read={}", options.max_read_bytes));
  std::string said;
  captured_log = &said;
  UniqueFd fd(fuse_open_channel(directory.c_str(), words.c_str()));
  captured_log = nullptr;
  if (!fd) {
    return fail(ErrorCode::permission_denied, sentence,
                said.empty() ? "fusermount3 could not mount (is it installed, setuid root? package fuse3); in a "
                               "container: --cap-add SYS_ADMIN"
                             : said);
  }
  return fd;
}

Result<UniqueFd> mount_directly(const std::string& directory, const MountOptions& options) {
  const std::string sentence = fmt::format("cannot mount on '{}'", directory);
  TRY_ASSIGN(UniqueFd fd, open_device(sentence));
  std::string data = fmt::format("fd={},rootmode={:o},user_id={},group_id={},default_permissions", fd.get(),
                                 static_cast<unsigned>(S_IFDIR), ::getuid(), ::getgid());
  if (options.allow_other) data.append(",allow_other");
  if (options.max_read_bytes != 0) data.append(fmt::format(",max_read={}", options.max_read_bytes));
  if (::mount(options.source.c_str(), directory.c_str(), kType, options.flags, data.c_str()) == 0) return fd;
  if (errno == EPERM) return mount_with_fusermount(directory, options);
  return fail_errno(errno, sentence);
}

Result<void> unmount_with_fusermount(const std::string& directory, bool lazy) {
  const std::string sentence = fmt::format("cannot unmount '{}'", directory);
  SubprocessOptions options;
  options.argv = {"fusermount3", "-u"};
  if (lazy) options.argv.push_back("-z");
  options.argv.insert(options.argv.end(), {"--", directory});
  options.environment = current_environment();
  options.pipe_stderr = true;
  Result<SubprocessOutput> output = run_subprocess(std::move(options), {}, Clock::system().now() + kFusermountTimeout);
  if (!output) return fail(output.error().within(sentence));
  if (output->status == 0) return {};
  while (output->err.ends_with('\n')) output->err.pop_back();
  const bool busy = output->err.find("busy") != std::string::npos;
  return fail(busy ? ErrorCode::busy : ErrorCode::permission_denied, sentence, std::move(output->err));
}

}  // namespace

void route_libfuse_log() { fuse_set_log_func(&write_libfuse_log); }

Result<MountOptions> parse_mount_options(const FuseOptions& options) {
  MountOptions result;
  result.source = options.source.empty() ? "artifactfs" : options.source;
  result.allow_other = options.allow_other;
  for (const std::string& option : options.extra) {
    if (std::string_view(option).starts_with("max_read=")) {
      TRY_ASSIGN(result.max_read_bytes, parse_max_read(std::string_view(option).substr(9)));
      continue;
    }
    const auto known = std::ranges::find(kFlagOptions, option, &FlagOption::name);
    if (known == std::end(kFlagOptions)) {
      return fail(ErrorCode::invalid_argument, fmt::format("cannot mount with option '{}'", option), "unknown option");
    }
    if (option == "rw" && options.read_only) {
      return fail(ErrorCode::invalid_argument, "cannot mount with option 'rw'", "the mount is read-only");
    }
    result.flags = known->sets ? result.flags | known->flag : result.flags & ~known->flag;
  }
  result.flags |= MS_NOSUID | MS_NODEV;
  if (options.read_only) result.flags |= MS_RDONLY;
  return result;
}

std::vector<MountEntry> parse_mountinfo(std::string_view text) {
  std::vector<MountEntry> entries;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    std::vector<std::string_view> words;
    while (!line.empty()) {
      const size_t space = std::min(line.find(' '), line.size());
      words.push_back(line.substr(0, space));
      line.remove_prefix(std::min(space + 1, line.size()));
    }
    // id parent major:minor root directory options [optional fields] - type source options
    const auto dash = std::ranges::find(words, "-");
    if (dash - words.begin() < 6 || words.end() - dash < 2) continue;
    entries.push_back({std::string(words[2]), unescape(words[4]), std::string(dash[1])});
  }
  return entries;
}

Result<std::pair<MountPoint, UniqueFd>> MountPoint::mount(const std::filesystem::path& path,
                                                          const MountOptions& options) {
  std::string directory = path.lexically_normal().string();
  if (directory.size() > 1 && directory.ends_with('/')) directory.pop_back();
  TRY(check_directory(directory));
  std::error_code error;
  directory = std::filesystem::canonical(directory, error).string();
  if (error) return fail_errno(error.value(), fmt::format("cannot mount on '{}'", path.string()));
  TRY(check_directory(directory));
  TRY_ASSIGN(UniqueFd fd,
             ::geteuid() == 0 ? mount_directly(directory, options) : mount_with_fusermount(directory, options));
  Result<std::optional<MountEntry>> top = top_mount(directory);
  if (!top || !*top) {
    ::umount2(directory.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH);
    return fail(ErrorCode::internal, fmt::format("cannot mount on '{}'", directory),
                top ? "the mount is not in /proc/self/mountinfo" : top.error().text());
  }
  return std::pair(MountPoint(std::move(directory), (*top)->device), std::move(fd));
}

Result<void> MountPoint::unmount(bool lazy) const {
  TRY_ASSIGN(const std::string text, read_file("/proc/self/mountinfo"));
  bool mounted = false;
  std::string top;
  for (const MountEntry& entry : parse_mountinfo(text)) {
    if (entry.directory != directory_) continue;
    top = entry.device;
    mounted = mounted || entry.device == device_;
  }
  if (!mounted) return {};
  const std::string sentence = fmt::format("cannot unmount '{}'", directory_);
  if (top != device_) return fail(ErrorCode::busy, sentence, "something else is mounted over it");
  if (::umount2(directory_.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return {};
  if (errno == EPERM) return unmount_with_fusermount(directory_, lazy);
  if (errno == EBUSY) {
    return fail(ErrorCode::busy, sentence,
                "a file is open there, or a process has its working directory there; close them or unmount lazily");
  }
  return fail_errno(errno, sentence);
}

}  // namespace artifactfs
