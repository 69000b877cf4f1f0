// OwnerSocket: a stream socket in a mount's directory (mounts/<mount-id>) that answers git's little programs there, for
// the mount's owner and root alone, on a thread of its own, so that a client that stalls holds up nobody but those who
// ask the same socket. A client sends its question, shuts its side down for writing, and reads the answer to its end.
//
// Thread-safe; `answer` is called on the socket's thread.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/subprocess.h"
#include "base/unique_fd.h"

namespace artifactfs {

struct OwnerSocketOptions {
  std::filesystem::path directory;
  std::string name;         // of the socket, and of its thread
  UserIds owner;            // who may ask, beside root
  size_t question_bytes{};  // whoever sends more is not answered
  Duration timeout{};       // for a client to ask, and to take the answer
};

class OwnerSocket {
 public:
  using Answer = std::function<std::string(std::string_view question)>;

  /// A socket left behind by an earlier daemon is replaced.
  static Result<std::unique_ptr<OwnerSocket>> start(const OwnerSocketOptions& options, Answer answer);
  /// Removes the socket and joins.
  ~OwnerSocket();
  OwnerSocket(const OwnerSocket&) = delete;
  OwnerSocket& operator=(const OwnerSocket&) = delete;

 private:
  OwnerSocket(const OwnerSocketOptions& options, Answer answer, UniqueFd directory, UniqueFd listener, UniqueFd stop);
  void serve();
  void answer(int client);
  bool is_allowed(int client) const;
  /// False when `deadline` passed or the socket is to close.
  bool wait_for(int fd, short events, Deadline deadline) const;
  bool send(int client, std::string_view bytes, Deadline deadline) const;

  // Constant after construction.
  const OwnerSocketOptions options_;
  const Answer answer_;
  const UniqueFd directory_, listener_, stop_;
  std::thread thread_;
};

}  // namespace artifactfs
