#include "tests/harness/ssh_server.h"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <stdexcept>

#include "tests/harness/command.h"

namespace artifactfs::test {

namespace {

std::string user_name() {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  if (::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    throw std::runtime_error("the current user has no name");
  }
  return found->pw_name;
}

}  // namespace

SshServer::SshServer() : port_(free_port()), user_(user_name()) {
  const std::string at = directory_.path().string();
  run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at + "/host_key"});
  run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at + "/user_key"});
  std::filesystem::copy_file(at + "/user_key.pub", at + "/authorized_keys");
  const std::string host_key = run({"cat", at + "/host_key.pub"});
  std::ofstream(at + "/known_hosts") << fmt::format("[127.0.0.1]:{} {}", port_, host_key);
  std::ofstream(at + "/sshd_config") << fmt::format(
      "ListenAddress 127.0.0.1\nPort {}\nHostKey {}/host_key\nPidFile {}/pid\nAuthorizedKeysFile {}/authorized_keys\n"
      "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPubkeyAuthentication "
      "yes\n"
      "PermitRootLogin yes\nAcceptEnv GIT_PROTOCOL\nMaxStartups 200\nPrintMotd no\nPrintLastLog no\nUseDNS no\n",
      port_, at, at, at);
  // sshd as root wants its privilege separation directory, which Debian makes only when its service starts.
  if (::geteuid() == 0) std::filesystem::create_directories("/run/sshd");
  const auto pid_file = directory_ / "pid";
  process_ = std::make_unique<ServerProcess>(
      std::vector<std::string>{"/usr/sbin/sshd", "-D", "-e", "-f", at + "/sshd_config"}, current_environment(),
      directory_ / "log", [&] { return std::filesystem::exists(pid_file); });
}

std::string SshServer::ssh_command() const {
  const std::string at = directory_.path().string();
  return fmt::format(
      "ssh -F /dev/null -i {}/user_key -o IdentitiesOnly=yes -o IdentityAgent=none -o "
      "UserKnownHostsFile={}/known_hosts "
      "-o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes",
      at, at);
}

std::string SshServer::url(const std::filesystem::path& repository) const {
  return fmt::format("ssh://{}@127.0.0.1:{}{}", user_, port_, repository.string());
}

}  // namespace artifactfs::test
