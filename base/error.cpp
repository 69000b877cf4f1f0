#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace artifactfs {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::internal:
      return "internal";
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::already_exists:
      return "already_exists";
    case ErrorCode::busy:
      return "busy";
    case ErrorCode::not_empty:
      return "not_empty";
    case ErrorCode::not_directory:
      return "not_directory";
    case ErrorCode::is_directory:
      return "is_directory";
    case ErrorCode::not_supported:
      return "not_supported";
    case ErrorCode::permission_denied:
      return "permission_denied";
    case ErrorCode::read_only:
      return "read_only";
    case ErrorCode::unauthorized:
      return "unauthorized";
    case ErrorCode::forbidden:
      return "forbidden";
    case ErrorCode::unavailable:
      return "unavailable";
    case ErrorCode::timeout:
      return "timeout";
    case ErrorCode::protocol:
      return "protocol";
    case ErrorCode::corrupt:
      return "corrupt";
    case ErrorCode::refused_object:
      return "refused_object";
    case ErrorCode::no_space:
      return "no_space";
    case ErrorCode::name_too_long:
      return "name_too_long";
    case ErrorCode::no_attribute:
      return "no_attribute";
    case ErrorCode::out_of_range:
      return "out_of_range";
    case ErrorCode::io:
      return "io";
    case ErrorCode::cancelled:
      return "cancelled";
    case ErrorCode::interrupted:
      return "interrupted";
  }
  return "unknown";
}

std::string Error::text() const {
  if (cause.empty()) return sentence;
  if (sentence.empty()) return cause;
  return sentence + ": " + cause;
}

namespace {
ErrorCode code_for_errno(int errnum) {
  switch (errnum) {
    case ENOENT:
      return ErrorCode::not_found;
    case EEXIST:
      return ErrorCode::already_exists;
    case EBUSY:
      return ErrorCode::busy;
    case ENOTEMPTY:
      return ErrorCode::not_empty;
    case ENOTDIR:
      return ErrorCode::not_directory;
    case EISDIR:
      return ErrorCode::is_directory;
    case EINVAL:
      return ErrorCode::invalid_argument;
    case EOPNOTSUPP:
      return ErrorCode::not_supported;
    case EACCES:
    case EPERM:
      return ErrorCode::permission_denied;
    case EROFS:
      return ErrorCode::read_only;
    case ENOSPC:
    case EDQUOT:
      return ErrorCode::no_space;
    case ENAMETOOLONG:
      return ErrorCode::name_too_long;
    case ENODATA:
      return ErrorCode::no_attribute;
    case ERANGE:
      return ErrorCode::out_of_range;
    case ETIMEDOUT:
      return ErrorCode::timeout;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return ErrorCode::unavailable;
    case ECANCELED:
      return ErrorCode::cancelled;
    case EINTR:
      return ErrorCode::interrupted;
    default:
      return ErrorCode::io;
  }
}
}  // namespace

Error errno_error(int errnum, std::string sentence) {
  char buffer[128];
  return Error{code_for_errno(errnum), std::move(sentence), strerror_r(errnum, buffer, sizeof buffer)};
}

}  // namespace artifactfs
