// UploadPackTransport: the real git-upload-pack on a local repository, one process a request, as behind an HTTP server.
// For tests of the protocol only.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "fetch/transport.h"

namespace artifactfs::testing {

class UploadPackTransport : public Transport {
 public:
  /// `protocol`: for GIT_PROTOCOL, e.g. "version=2"; empty for protocol v0.
  UploadPackTransport(std::filesystem::path repository, std::string protocol)
      : repository_(std::move(repository)), protocol_(std::move(protocol)) {}

  Result<std::unique_ptr<Response>> advertisement() override;
  Result<std::unique_ptr<Response>> command(std::string request) override;
  void shutdown() noexcept override {}
  TransportStats stats() const override { return {}; }

 private:
  Result<std::unique_ptr<Response>> run(const char* mode, std::string_view request) const;

  const std::filesystem::path repository_;
  const std::string protocol_;
};

}  // namespace artifactfs::testing
