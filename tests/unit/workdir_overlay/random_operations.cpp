#include "tests/unit/workdir_overlay/random_operations.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/unique_fd.h"

namespace artifactfs::test {

namespace {

constexpr std::array kNames = {"a", "b", "c", "d", "e", "f"};

std::string random_path(std::mt19937_64& random) {
  std::string path;
  const size_t depth = 1 + random() % 3;
  for (size_t i = 0; i < depth; ++i) path += (path.empty() ? "" : "/") + std::string(kNames[random() % kNames.size()]);
  return path;
}

}  // namespace

RandomOperation RandomOperation::next(std::mt19937_64& random) {
  RandomOperation operation;
  operation.kind = static_cast<Kind>(random() % static_cast<size_t>(Kind::count));
  operation.path = random_path(random);
  operation.other = random_path(random);
  operation.offset = random() % 6000;
  operation.data = std::string(1 + random() % 3000, static_cast<char>('A' + random() % 26));
  operation.mode = 0600 | (random() % 2 == 0 ? 0111 : 0044);
  return operation;
}

std::string RandomOperation::text() const {
  return fmt::format("{} '{}' '{}' at {} {} bytes mode {:o}", static_cast<int>(kind), path, other, offset, data.size(),
                     mode);
}

bool RandomOperation::apply(Files& files) const {
  AttributeChange change;
  switch (kind) {
    case Kind::create:
      return files.create(path, mode).has_value();
    case Kind::mkdir:
      return files.mkdir(path, 0700 | mode).has_value();
    case Kind::symlink:
      return files.symlink("nowhere at all", path).has_value();
    case Kind::link:
      return files.link(path, other).has_value();
    case Kind::unlink:
      return files.unlink(path).has_value();
    case Kind::rmdir:
      return files.rmdir(path).has_value();
    case Kind::rename:
      return files.rename(path, other).has_value();
    case Kind::rename_no_replace:
      return files.rename(path, other, RenameMode::no_replace).has_value();
    case Kind::exchange:
      return files.rename(path, other, RenameMode::exchange).has_value();
    case Kind::write:
      return files.write(path, offset, data).has_value();
    case Kind::truncate:
      return files.truncate(path, mode % 2 == 0 ? offset : 0).has_value();
    case Kind::chmod: {
      const auto at = files.stat(path);
      if (!at || S_ISLNK(at->mode)) return false;
      change.mode = S_ISDIR(at->mode) ? mode | 0700 : mode;
      return files.setattr(path, change).has_value();
    }
    case Kind::punch: {
      const auto inode = files.inode(path);
      if (!inode) return false;
      return Files::wait<void>([&](auto done) {
               return files.fs().fallocate(*inode, {.keep_size = true, .punch_hole = true}, offset, data.size(),
                                           std::move(done));
             })
          .has_value();
    }
    case Kind::count:
      break;
  }
  return false;
}

bool RandomOperation::apply(const std::filesystem::path& root) const {
  const std::string at = root / path, to = root / other;
  const auto open_at = [&](int flags) { return UniqueFd(::open(at.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode)); };
  struct stat st {};
  switch (kind) {
    case Kind::create:
      return static_cast<bool>(open_at(O_CREAT | O_EXCL | O_WRONLY));
    case Kind::mkdir:
      return ::mkdir(at.c_str(), 0700 | mode) == 0;
    case Kind::symlink:
      return ::symlink("nowhere at all", at.c_str()) == 0;
    case Kind::link:
      return ::link(at.c_str(), to.c_str()) == 0;
    case Kind::unlink:
      return ::unlink(at.c_str()) == 0;
    case Kind::rmdir:
      return ::rmdir(at.c_str()) == 0;
    case Kind::rename:
      return ::rename(at.c_str(), to.c_str()) == 0;
    case Kind::rename_no_replace:
      return ::renameat2(AT_FDCWD, at.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0;
    case Kind::exchange:
      return ::renameat2(AT_FDCWD, at.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0;
    case Kind::write: {
      const auto fd = open_at(O_WRONLY);
      return fd && ::pwrite(fd.get(), data.data(), data.size(), static_cast<off_t>(offset)) ==
                       static_cast<ssize_t>(data.size());
    }
    case Kind::truncate: {
      const auto fd = open_at(O_WRONLY);
      return fd && ::ftruncate(fd.get(), mode % 2 == 0 ? static_cast<off_t>(offset) : 0) == 0;
    }
    case Kind::chmod:
      if (::lstat(at.c_str(), &st) != 0 || S_ISLNK(st.st_mode)) return false;
      return ::chmod(at.c_str(), S_ISDIR(st.st_mode) ? mode | 0700 : mode) == 0;
    case Kind::punch: {
      const auto fd = open_at(O_WRONLY);
      return fd && ::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, static_cast<off_t>(offset),
                               static_cast<off_t>(data.size())) == 0;
    }
    case Kind::count:
      break;
  }
  return false;
}

MemoryBase::Files model_base() {
  return {{"a/a/a", {"one"}},
          {"a/a/b", {std::string(5000, 'x')}},
          {"a/b", {"two\n"}},
          {"a/c", {"#!/bin/sh\n", "100755"}},
          {"b/a/b", {"three"}},
          {"b/c", {"nowhere at all", "120000"}},
          {"c", {"four"}},
          {"d", {std::string(9000, 'y')}},
          {"e/f", {"nowhere at all", "120000"}},
          {"f/f/f", {""}}};
}

void write_model_base(const std::filesystem::path& root) {
  for (const auto& [path, file] : model_base()) {
    EXPECT_TRUE(make_directories((root / path).parent_path(), 0755));
    if (file.mode == "120000") {
      std::filesystem::create_symlink(file.content, root / path);
      continue;
    }
    const UniqueFd fd(::open((root / path).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    EXPECT_TRUE(write_all(fd.get(), std::as_bytes(std::span(file.content))));
    ::fchmod(fd.get(), file.mode == "100755" ? 0755 : 0644);
  }
}

std::vector<std::string> tree_of(const std::filesystem::path& root) {
  std::vector<std::string> out;
  const auto walk = [&](const auto& self, const std::filesystem::path& directory, const std::string& prefix) -> void {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    for (const auto& name : names) {
      struct stat st {};
      EXPECT_EQ(::lstat((directory / name).c_str(), &st), 0);
      std::string content;
      if (S_ISREG(st.st_mode)) content = read_file(directory / name).value();
      if (S_ISLNK(st.st_mode)) content = std::filesystem::read_symlink(directory / name);
      out.push_back(fmt::format("{}{} {:o} {} {}", prefix, name, st.st_mode, st.st_nlink, content));
      if (S_ISDIR(st.st_mode)) self(self, directory / name, prefix + name + "/");
    }
  };
  walk(walk, root, "");
  return out;
}

}  // namespace artifactfs::test
