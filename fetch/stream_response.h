// StreamResponse: the answer to one command on a connection of a StreamTransport (or its advertisement). Reads belong
// to one thread; cancel() to any.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "fetch/pkt_scanner.h"
#include "fetch/stream_transport.h"

namespace artifactfs {

class StreamResponse final : public Response {
 public:
  /// An empty `request` asks for the advertisement.
  StreamResponse(StreamTransport& transport, std::string request, std::unique_ptr<Wakeup> wakeup);
  ~StreamResponse() override;

  Result<size_t> read(std::span<std::byte> into) override;
  void cancel() noexcept override;

 private:
  Result<void> open();
  Result<bool> send_on(bool fresh);
  Result<void> handshake();
  Result<void> read_advertisement(Deadline deadline);
  Result<size_t> receive(std::span<std::byte> into);
  void finish(bool reusable);
  Error named(Error error) const;
  Error ended_early();

  StreamTransport& transport_;
  const std::string request_;
  const std::unique_ptr<Wakeup> wakeup_;
  std::atomic<bool> cancelled_{false};
  std::unique_ptr<StreamConnection> connection_;
  bool holds_place_ = false;
  bool opened_ = false;
  bool done_ = false;
  std::optional<Error> failed_;
  std::string ready_;  // bytes read ahead, not yet given out
  PktScanner scanner_;
};

}  // namespace artifactfs
