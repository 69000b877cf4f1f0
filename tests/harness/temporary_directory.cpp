#include "tests/harness/temporary_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace artifactfs::test {

namespace {

// Removes what is inside the directory `fd` (closing it), staying on `device`. False when something had to stay.
// A mount point is recognized by its device number without looking into it: a dead FUSE mount fails with ENOTCONN.
bool remove_content(int fd, dev_t device) {
  std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(fd), ::closedir);
  if (!directory) {
    ::close(fd);
    return false;
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(directory.get())) {
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0)
      names.emplace_back(entry->d_name);
  }
  bool all_gone = true;
  for (const auto& name : names) {
    struct stat st {};
    if (::fstatat(fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_dev != device) {
      std::fprintf(stderr, "TemporaryDirectory: '%s' is a mount point or cannot be read and is left alone\n",
                   name.c_str());
      all_gone = false;
    } else if (!S_ISDIR(st.st_mode)) {
      all_gone = ::unlinkat(fd, name.c_str(), 0) == 0 && all_gone;
    } else {
      ::fchmodat(fd, name.c_str(), 0700, 0);
      const int inner = ::openat(fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      const bool emptied = inner >= 0 && remove_content(inner, device);
      all_gone = emptied && ::unlinkat(fd, name.c_str(), AT_REMOVEDIR) == 0 && all_gone;
    }
  }
  return all_gone;
}

}  // namespace

TemporaryDirectory::TemporaryDirectory(std::string_view prefix) {
  const char* base = ::getenv("TMPDIR");  // NOLINT(concurrency-mt-unsafe): tests set no environment while threads run
  std::string name =
      std::string(base != nullptr && *base != '\0' ? base : "/tmp") + "/" + std::string(prefix) + ".XXXXXX";
  if (::mkdtemp(name.data()) == nullptr)
    throw std::runtime_error("cannot make '" + name + "': " + std::strerror(errno));
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  struct stat st {};
  const int fd = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || ::fstat(fd, &st) != 0) {
    if (fd >= 0) ::close(fd);
    return;
  }
  if (!remove_content(fd, st.st_dev) || ::rmdir(path_.c_str()) != 0) {
    std::fprintf(stderr, "TemporaryDirectory: '%s' could not be removed whole\n", path_.c_str());
  }
}

}  // namespace artifactfs::test
