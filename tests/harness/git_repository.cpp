#include "tests/harness/git_repository.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <fstream>
#include <random>
#include <stdexcept>

#include "tests/harness/command.h"

namespace artifactfs::test {

namespace {

std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

Environment dated(Environment environment, int64_t date) {
  const std::string text = std::to_string(date) + " +0000";
  set_environment_value(environment, "GIT_AUTHOR_DATE", text);
  set_environment_value(environment, "GIT_COMMITTER_DATE", text);
  return environment;
}

constexpr std::string_view kIdentity = "Test User <test@example.com>";

// Text for small files; for larger ones bytes that do not compress, so that "tens of MB" are that on the wire too.
std::string file_content(uint64_t file, uint64_t version, uint64_t bytes) {
  std::string content = fmt::format("file {} version {}\n", file, version);
  if (bytes <= 1024) {
    while (content.size() < bytes) content += "the quick brown fox\n";
    content.resize(std::max<size_t>(bytes, 1));
    if (bytes < 24) content = fmt::format("{:>{}}", file * 1000 + version, bytes);
    return content;
  }
  std::mt19937_64 random(file * 7919 + version);
  while (content.size() < bytes) {
    const uint64_t word = random();
    content.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  content.resize(bytes);
  return content;
}

std::string file_name(const GeneratedRepository& description, uint64_t file) {
  const uint64_t directory = file / description.files_per_directory;
  return fmt::format("d{:04}/d{:04}/f{:05}.txt", directory / 100, directory % 100, file);
}

}  // namespace

Environment git_environment(const std::filesystem::path& home) {
  Environment environment;
  for (const auto& entry : current_environment()) {
    if (!entry.starts_with("GIT_") && !entry.starts_with("XDG_CONFIG_HOME=")) environment.push_back(entry);
  }
  set_environment_value(environment, "HOME", home.string());
  set_environment_value(environment, "GIT_CONFIG_NOSYSTEM", "1");
  set_environment_value(environment, "GIT_TERMINAL_PROMPT", "0");
  set_environment_value(environment, "GIT_AUTHOR_NAME", "Test User");
  set_environment_value(environment, "GIT_AUTHOR_EMAIL", "test@example.com");
  set_environment_value(environment, "GIT_COMMITTER_NAME", "Test User");
  set_environment_value(environment, "GIT_COMMITTER_EMAIL", "test@example.com");
  set_environment_value(environment, "GIT_CONFIG_COUNT", "3");
  set_environment_value(environment, "GIT_CONFIG_KEY_0", "init.defaultBranch");
  set_environment_value(environment, "GIT_CONFIG_VALUE_0", "main");
  set_environment_value(environment, "GIT_CONFIG_KEY_1", "advice.detachedHead");
  set_environment_value(environment, "GIT_CONFIG_VALUE_1", "false");
  set_environment_value(environment, "GIT_CONFIG_KEY_2", "gc.auto");
  set_environment_value(environment, "GIT_CONFIG_VALUE_2", "0");
  return environment;
}

GitRepository::GitRepository(std::filesystem::path path) : path_(std::move(path)) {
  std::filesystem::create_directories(path_);
  if (!std::filesystem::exists(path_ / ".git")) git({"init", "--quiet"});
}

void GitRepository::write_file(std::string_view name, std::string_view content, bool executable) {
  const auto file = path_ / name;
  std::filesystem::create_directories(file.parent_path());
  std::filesystem::remove(file);
  std::ofstream stream(file, std::ios::binary);
  stream << content;
  if (!stream.flush()) throw std::runtime_error("cannot write " + file.string());
  stream.close();
  std::filesystem::permissions(file, std::filesystem::perms(executable ? 0755 : 0644));
}

void GitRepository::make_symlink(std::string_view name, std::string_view target) {
  const auto link = path_ / name;
  std::filesystem::create_directories(link.parent_path());
  std::filesystem::remove(link);
  std::filesystem::create_symlink(target, link);
}

void GitRepository::remove(std::string_view name) { std::filesystem::remove_all(path_ / name); }

void GitRepository::submodule(std::string_view name, std::string_view commit_hex) {
  // Without its directory the next `add --all` would stage the entry's removal.
  std::filesystem::create_directories(path_ / name);
  git({"update-index", "--add", "--cacheinfo", fmt::format("160000,{},{}", commit_hex, name)});
}

std::string GitRepository::commit(std::string_view message) {
  next_date_ += 60;
  git({"add", "--all"});
  git({"commit", "--quiet", "--allow-empty", "--message", std::string(message)});
  return rev_parse("HEAD");
}

void GitRepository::branch(std::string_view name, std::string_view start) {
  git({"branch", std::string(name), std::string(start)});
}

void GitRepository::checkout(std::string_view branch) { git({"checkout", "--quiet", std::string(branch)}); }

void GitRepository::tag(std::string_view name, std::string_view target) {
  git({"tag", std::string(name), std::string(target)});
}

std::string GitRepository::annotated_tag(std::string_view name, std::string_view message, std::string_view target) {
  git({"tag", "--annotate", "--message", std::string(message), std::string(name), std::string(target)});
  return rev_parse("refs/tags/" + std::string(name));
}

std::string GitRepository::rev_parse(std::string_view revision) {
  return git({"rev-parse", "--verify", std::string(revision)});
}

std::string GitRepository::git(const std::vector<std::string>& arguments, std::string_view input) {
  std::vector<std::string> argv = {"git"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return trimmed(run(argv, dated(git_environment(), next_date_), path_, input));
}

void GitRepository::bare_clone(const std::filesystem::path& destination, const ServeOptions& options) const {
  std::filesystem::create_directories(destination.parent_path());
  run({"git", "clone", "--quiet", "--mirror", "--no-hardlinks", path_.string(), destination.string()},
      git_environment());
  run({"git", "-C", destination.string(), "remote", "remove", "origin"}, git_environment());
  configure_for_serving(destination, options);
}

void configure_for_serving(const std::filesystem::path& bare_repository, const ServeOptions& options) {
  // Appended by hand: six runs of `git config` would cost more than the clone.
  std::ofstream config(bare_repository / "config", std::ios::app);
  config << "[uploadpack]\n\tallowFilter = " << (options.allow_filter ? "true" : "false")
         << "\n\tallowAnySHA1InWant = " << (options.allow_any_sha1 ? "true" : "false")
         << "\n[http]\n\tuploadpack = true"
         << "\n\treceivepack = " << (options.allow_push ? "true" : "false")
         << "\n[daemon]\n\treceivepack = " << (options.allow_push ? "true" : "false")
         << "\n[transfer]\n\tadvertiseObjectInfo = " << (options.object_info ? "true" : "false") << "\n";
  if (!config.flush()) throw std::runtime_error("cannot write the configuration of " + bare_repository.string());
  config.close();
  if (options.update_server_info) run({"git", "-C", bare_repository.string(), "update-server-info"}, git_environment());
}

std::string generate_bare_repository(const std::filesystem::path& destination, const GeneratedRepository& description,
                                     const ServeOptions& options) {
  const auto environment = git_environment();
  run({"git", "init", "--quiet", "--bare", destination.string()}, environment);
  // A pipe, not a string: a large repository's stream would not fit in memory twice.
  SubprocessOptions child_options;
  // Large files do not compress here, and trying to took most of the time.
  const std::string compression = description.file_bytes > 1024 ? "pack.compression=0" : "pack.compression=6";
  child_options.argv = {"git", "-C", destination.string(), "-c", compression, "fast-import", "--quiet", "--done"};
  child_options.environment = environment;
  child_options.pipe_stdin = true;
  auto child = Subprocess::start(child_options);
  if (!child) throw std::runtime_error(child.error().text());
  auto send = [&](const std::string& text) {
    if (auto written = write_all(child->stdin_fd(), std::as_bytes(std::span(text))); !written) {
      throw std::runtime_error("git fast-import: " + written.error().text());
    }
  };
  auto modify = [&](uint64_t file, uint64_t version) {
    const std::string content = file_content(file, version, description.file_bytes);
    send(fmt::format("M 100644 inline {}\ndata {}\n", file_name(description, file), content.size()) + content + "\n");
  };
  for (uint64_t number = 0; number < description.commits; ++number) {
    const std::string message = fmt::format("commit {}\n", number + 1);
    send(fmt::format("commit refs/heads/main\ncommitter {} {} +0000\ndata {}\n{}", kIdentity,
                     1'700'000'000 + 60 * number, message.size(), message));
    if (number == 0) {
      for (uint64_t file = 0; file < description.files; ++file) modify(file, 0);
    } else {
      modify((number * 7919) % description.files, number);
    }
    send("\n");
  }
  send("done\n");
  child->close_stdin();
  auto status = child->wait();
  if (!status || *status != 0) throw std::runtime_error("git fast-import failed");
  configure_for_serving(destination, options);
  return trimmed(run({"git", "-C", destination.string(), "rev-parse", "refs/heads/main"}, environment));
}

}  // namespace artifactfs::test
