// The words with which a git server refuses something ("ERR ..." packets and sideband 3), as an Error. There are no
// codes on the wire, so the kinds that matter are told by the phrases of git's upload-pack and of JGit.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace artifactfs {

/// cause: the server's words, made printable. Codes: refused_object ("not our ref" and the like), protocol (it did not
/// understand us), not_supported, not_found, forbidden, else unavailable.
Error server_error(std::string_view words);

/// `text` without control characters, line ends and more than 500 bytes, fit for an error message.
std::string printable(std::string_view text);

}  // namespace artifactfs
