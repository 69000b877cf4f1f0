// AdvertisementParser: the first words of a git server: a protocol v2 capability advertisement (gitprotocol-v2(5)) or
// the list of refs of protocol v0 and v1 (gitprotocol-pack(5)). Pure; not thread-safe; one instance an advertisement.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fetch/pkt_line.h"
#include "fetch/remote_ref.h"
#include "fetch/server_capabilities.h"

namespace artifactfs {

struct Advertisement {
  ServerCapabilities capabilities;
  std::vector<RemoteRef> refs;  // v0 and v1 only
};

class AdvertisementParser {
 public:
  static constexpr size_t kMaxRefs = size_t{8} << 20;
  static constexpr size_t kMaxCapabilities = 1000;

  /// True when `packet` was the last. Error packets become the server's error.
  Result<bool> take(const PktLine& packet);
  /// What has been read, once take() has returned true. ErrorCode::not_supported for SHA-256 repositories.
  Result<Advertisement> finish();

 private:
  enum class State : uint8_t { start, capabilities, refs };

  Result<void> take_ref(std::string_view payload);
  void take_v0_capabilities(std::string_view list);
  void add_ref(std::string_view name, const ObjectId& oid);

  State state_ = State::start;
  Advertisement advertisement_;
  bool capabilities_seen_ = false;  // of v0 and v1: they follow the first ref
  size_t lines_ = 0;
  std::vector<std::pair<std::string, std::string>> symrefs_;
};

}  // namespace artifactfs
