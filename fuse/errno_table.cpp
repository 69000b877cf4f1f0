#include "fuse/errno_table.h"

#include <cerrno>

namespace artifactfs {

int to_errno(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return EINVAL;
    case ErrorCode::not_found:
      return ENOENT;
    case ErrorCode::already_exists:
      return EEXIST;
    case ErrorCode::busy:
      return EBUSY;
    case ErrorCode::not_empty:
      return ENOTEMPTY;
    case ErrorCode::not_directory:
      return ENOTDIR;
    case ErrorCode::is_directory:
      return EISDIR;
    case ErrorCode::not_supported:
      return EOPNOTSUPP;  // never ENOSYS: the kernel would stop sending the whole operation
    case ErrorCode::permission_denied:
      return EPERM;  // the kernel checks modes itself (default_permissions); what is left is "this may not be done"
    case ErrorCode::read_only:
      return EROFS;
    case ErrorCode::unauthorized:
    case ErrorCode::forbidden:
      return EACCES;
    case ErrorCode::no_space:
      return ENOSPC;
    case ErrorCode::name_too_long:
      return ENAMETOOLONG;
    case ErrorCode::no_attribute:
      return ENODATA;
    case ErrorCode::out_of_range:
      return ERANGE;
    case ErrorCode::cancelled:
    case ErrorCode::interrupted:
      return EINTR;
    case ErrorCode::internal:
    case ErrorCode::unavailable:
    case ErrorCode::timeout:
    case ErrorCode::protocol:
    case ErrorCode::corrupt:
    case ErrorCode::refused_object:
    case ErrorCode::io:
      return EIO;
  }
  return EIO;
}

}  // namespace artifactfs
