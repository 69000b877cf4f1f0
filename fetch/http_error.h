// Failures of HTTP exchanges in words that a person understands, and as codes by which the scheduler decides.
#pragma once

#include <curl/curl.h>

#include <string>
#include <string_view>

#include "base/error.h"

namespace artifactfs {

struct HttpHead;

/// An exchange that curl could not finish. `detail`: curl's error buffer; `proxy_status`: a proxy's answer to CONNECT,
/// or 0; `answer_begun`: the head had come.
Error curl_failure(CURLcode code, std::string_view detail, long proxy_status, bool answer_begun);

/// An answer whose status is not 200 (and neither a redirect to follow nor a 401 to answer). `body`: the beginning of
/// the answer if it is plain text; it ends up in the error, as git shows it.
Error status_failure(const HttpHead& head, std::string_view body);

}  // namespace artifactfs
