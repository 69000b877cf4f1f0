// UserFile: a file that the user's configuration names (a certificate, a key, a netrc), in a form that libraries which
// take only file names can read. When the daemon is root and works for another user, the file is read by a child
// process as that user: otherwise naming root's files in one's own configuration would send them to one's own server.
//
// Move-only; the path is valid while the object lives.
#pragma once

#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "fetch/transport.h"

namespace artifactfs {

class UserFile {
 public:
  static constexpr size_t kMaxBytes = size_t{8} << 20;

  /// Fails when the user cannot read it.
  static Result<UserFile> open(const std::string& path, const TransportContext& context);

  /// A name under which this process can read the content.
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  UniqueFd memory_;  // holds the content when it is a copy
};

}  // namespace artifactfs
