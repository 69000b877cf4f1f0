// What ssh, git-upload-pack and git-daemon say when they refuse, as an Error by which callers can decide.
#pragma once

#include <string_view>

#include "base/error.h"

namespace artifactfs {

/// `words`: a child's standard error or the text of an ERR pkt-line; shown as the cause.
Error upload_pack_error(std::string_view words);

}  // namespace artifactfs
