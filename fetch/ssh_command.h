// The command line by which git reaches git-upload-pack over ssh (git's connect.c, documented under core.sshCommand,
// ssh.variant and GIT_SSH* in git-config(1) and git(1)).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/subprocess.h"
#include "fetch/git_config.h"
#include "fetch/remote_url.h"

namespace artifactfs {

enum class SshVariant : uint8_t {
  automatic,  // unknown program: ask it (`-G`), as git does
  openssh,
  plink,
  putty,
  tortoiseplink,
  simple,  // takes a host and a command, no options
};

struct SshProgram {
  std::vector<std::string> argv;  // to which options, host and command are appended
  SshVariant variant = SshVariant::automatic;
};

/// Which program: GIT_SSH_COMMAND, core.sshCommand (both run through a shell), GIT_SSH, or "ssh".
SshProgram choose_ssh_program(const GitConfig& config, const Environment& environment);

/// The arguments by which an unknown program shows that it is OpenSSH: it then exits with 0.
std::vector<std::string> ssh_probe_arguments(const SshProgram& program, const RemoteUrl& remote);

/// The whole command. `program.variant` must be known. Never prompts (BatchMode): a daemon has nobody to ask. Fails
/// with invalid_argument for a port that a simple ssh cannot be told.
Result<std::vector<std::string>> ssh_arguments(const SshProgram& program, const RemoteUrl& remote);

/// `text` as one word for a POSIX shell, quoted as git does.
std::string shell_quote(std::string_view text);

}  // namespace artifactfs
