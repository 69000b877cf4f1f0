#include "fetch/ssh_command.h"

#include <algorithm>

namespace artifactfs {

namespace {

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

std::optional<SshVariant> variant_named(const std::string& name) {
  if (name == "ssh") return SshVariant::openssh;
  if (name == "plink") return SshVariant::plink;
  if (name == "putty") return SshVariant::putty;
  if (name == "tortoiseplink") return SshVariant::tortoiseplink;
  if (name == "simple") return SshVariant::simple;
  return std::nullopt;
}

// By the program's name: the first word of a command, without its directory and ".exe".
SshVariant variant_of_command(std::string_view command) {
  std::string word;
  char quote = '\0';
  for (const char c : command) {
    if (quote == '\0' && (c == ' ' || c == '\t')) {
      if (!word.empty()) break;
    } else if (quote == '\0' && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = '\0';
    } else {
      word += c;
    }
  }
  std::string name = lower(word.substr(word.rfind('/') + 1));
  if (name.ends_with(".exe")) name.resize(name.size() - 4);
  if (name == "ssh" || name == "plink" || name == "tortoiseplink") return *variant_named(name);
  return SshVariant::automatic;
}

std::string destination(const RemoteUrl& remote) {
  return remote.ssh_user.empty() ? remote.host : remote.ssh_user + "@" + remote.host;
}

}  // namespace

std::string shell_quote(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '!') {
      out.append("'\\").append(1, c).append("'");
    } else {
      out += c;
    }
  }
  return out + "'";
}

SshProgram choose_ssh_program(const GitConfig& config, const Environment& environment) {
  SshProgram program;
  std::string command = environment_value(environment, "GIT_SSH_COMMAND").value_or("");
  if (command.empty()) command = config.ssh_command().value_or("");
  if (!command.empty()) {
    program.argv = {"sh", "-c", command + " \"$@\"", command};
    program.variant = variant_of_command(command);
  } else {
    std::string name = environment_value(environment, "GIT_SSH").value_or("");
    if (name.empty()) name = "ssh";
    program.variant = variant_of_command(shell_quote(name));
    program.argv = {name};
  }
  auto named = environment_value(environment, "GIT_SSH_VARIANT");
  if (!named || named->empty()) named = config.ssh_variant();
  if (named && *named != "auto") program.variant = variant_named(lower(*named)).value_or(SshVariant::openssh);
  return program;
}

std::vector<std::string> ssh_probe_arguments(const SshProgram& program, const RemoteUrl& remote) {
  std::vector<std::string> argv = program.argv;
  argv.insert(argv.end(), {"-G", destination(remote)});
  return argv;
}

Result<std::vector<std::string>> ssh_arguments(const SshProgram& program, const RemoteUrl& remote) {
  std::vector<std::string> argv = program.argv;
  switch (program.variant) {
    case SshVariant::automatic:
    case SshVariant::simple:
      if (remote.port != 0) {
        return fail(ErrorCode::invalid_argument, "cannot reach '" + remote.display() + "'",
                    "a simple ssh cannot be told a port (see ssh.variant)");
      }
      break;
    case SshVariant::openssh:
      argv.insert(argv.end(), {"-o", "SendEnv=GIT_PROTOCOL", "-o", "BatchMode=yes"});
      if (remote.port != 0) argv.insert(argv.end(), {"-p", std::to_string(remote.port)});
      break;
    case SshVariant::plink:
    case SshVariant::putty:
    case SshVariant::tortoiseplink:
      argv.emplace_back("-batch");
      if (remote.port != 0) argv.insert(argv.end(), {"-P", std::to_string(remote.port)});
      break;
  }
  argv.push_back(destination(remote));
  argv.push_back("git-upload-pack " + shell_quote(remote.path));
  return argv;
}

}  // namespace artifactfs
