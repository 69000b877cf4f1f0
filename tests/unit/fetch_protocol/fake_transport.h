// FakeTransport: answers with what the test has queued, and keeps what was asked.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "fetch/transport.h"

namespace artifactfs::testing {

/// One answer, as the transport would stream it.
struct FakeAnswer {
  std::string bytes;
  size_t slice_bytes = 0;     // at most so many a read; 0: as many as fit
  bool hangs_at_end = false;  // instead of ending, until it is cancelled
};

class FakeTransport : public Transport {
 public:
  Result<std::unique_ptr<Response>> advertisement() override;
  Result<std::unique_ptr<Response>> command(std::string request) override;
  void shutdown() noexcept override {}
  TransportStats stats() const override { return {}; }

  // Set before the call under test; taken in order.
  std::deque<Result<FakeAnswer>> advertisements;
  std::deque<Result<FakeAnswer>> answers;
  // Read after it.
  std::vector<std::string> requests;
  int advertisements_asked = 0;
  /// Blocks until `count` responses have been waiting at their end.
  void wait_for_hanging(int count);

 private:
  friend class FakeResponse;
  Mutex mutex_;
  CondVar changed_;
  int hanging_ GUARDED_BY(mutex_) = 0;
};

/// pkt-lines of texts; "0000", "0001" and "0002" stand for the special packets.
std::string packets(const std::vector<std::string>& lines);
/// A sideband packet stream of `pack` on band 1, in packets of at most `packet_bytes`, without the flush.
std::string band_1(std::string_view pack, size_t packet_bytes = 1000);

}  // namespace artifactfs::testing
