// gzip_compress: a request body as `Content-Encoding: gzip` (RFC 1952).
#pragma once

#include <string>
#include <string_view>

namespace artifactfs {

std::string gzip_compress(std::string_view plain);

}  // namespace artifactfs
