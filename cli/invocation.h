// Invocation: what the command line was asked, and how its verbs report. Each verb has a file of its own that adds its
// subcommand; the one that was named leaves its action here.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/error.h"

namespace artifactfs::cli {

inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

struct Invocation {
  std::optional<std::string> state_dir;  // --state-dir
  std::function<int()> action;

  Result<std::filesystem::path> state_root() const;
};

/// A subcommand with what all have: --help, --version, --state-dir.
CLI::App* add_verb(CLI::App& app, Invocation& invocation, const std::string& name, const std::string& description);

void add_mount(CLI::App& app, Invocation& invocation);
void add_unmount(CLI::App& app, Invocation& invocation);
void add_remove(CLI::App& app, Invocation& invocation);
void add_gc(CLI::App& app, Invocation& invocation);
void add_list(CLI::App& app, Invocation& invocation);
void add_status(CLI::App& app, Invocation& invocation);
void add_daemon(CLI::App& app, Invocation& invocation);

/// Prints "artifactfs: <error>" in one line on standard error, without secrets; returns the exit code.
int report(const Error& error);
/// report() for an action that ends with a Result.
int finish(const Result<void>& result);

/// `text` as the daemon knows directories: absolute, symbolic links resolved as far as the path exists (also when what
/// is mounted there is dead).
std::string resolve_directory(const std::string& text);

}  // namespace artifactfs::cli
