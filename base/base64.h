// Base64 (RFC 4648, with padding), for HTTP Basic credentials.
#pragma once

#include <string>
#include <string_view>

namespace artifactfs {

std::string base64_encode(std::string_view bytes);

}  // namespace artifactfs
