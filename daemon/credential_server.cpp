#include "daemon/credential_server.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/credential_protocol.h"
#include "fetch/credentials.h"

namespace artifactfs {

namespace {

// git-credential(1): "key=value" lines; others, and keys that are not ours, are passed over as it demands.
struct Description {
  std::string protocol, host;
  std::optional<std::string> username, password;
};

Description parse(std::string_view text) {
  Description out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t equals = std::min(line.find('='), line.size());
    const std::string value(line.substr(std::min(equals + 1, line.size())));
    const std::string_view key = line.substr(0, equals);
    if (key == "protocol") out.protocol = value;
    if (key == "host") out.host = value;
    if (key == "username") out.username = value;
    if (key == "password") out.password = value;
  }
  return out;
}

std::string answer_get(const Description& asked, Store& store) {
  const auto held = store.credential();
  const auto& named = store.remote().credentials;
  std::string username;
  if (held) {
    username = held->username;
  } else if (named) {
    username = named->username;  // the URL's: which of the accounts that the user's own helpers know
  }
  if (username.empty() || (asked.username && *asked.username != username)) return {};
  std::string answer = "username=" + username + "\n";
  if (held) answer += "password=" + held->password + "\n";
  return answer;
}

}  // namespace

bool has_credentials(const RemoteUrl& remote) {
  return remote.scheme == RemoteScheme::http || remote.scheme == RemoteScheme::https;
}

std::string answer_credential_question(std::string_view question, Store& store) {
  const size_t end = std::min(question.find('\n'), question.size());
  const std::string_view operation = question.substr(0, end);
  const Description asked = parse(question.substr(std::min(end + 1, question.size())));
  const CredentialQuestion own = credential_question(store.remote());
  if (asked.protocol != own.protocol || asked.host != own.host) return {};
  if (operation == "get") return answer_get(asked, store);
  if (operation == "erase" && asked.username && asked.password) {
    store.forget_credential({*asked.username, *asked.password});
  }
  return {};
}

Result<std::unique_ptr<OwnerSocket>> start_credential_server(const std::filesystem::path& workspace,
                                                             const UserIds& owner, Store& store) {
  const OwnerSocketOptions options{workspace, kCredentialSocketName, owner, kCredentialMaxBytes,
                                   std::chrono::seconds(kCredentialTimeoutSeconds)};
  return OwnerSocket::start(
      options, [&store](std::string_view question) { return answer_credential_question(question, store); });
}

}  // namespace artifactfs
