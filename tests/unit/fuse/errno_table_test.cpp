#include "fuse/errno_table.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace artifactfs {
namespace {

TEST(ErrnoTable, EveryCodeHasAnErrnoThatTheKernelPassesOn) {
  for (int code = 0; to_string(static_cast<ErrorCode>(code)) != "unknown"; ++code) {
    const int errnum = to_errno(static_cast<ErrorCode>(code));
    EXPECT_GT(errnum, 0) << code;
    EXPECT_LT(errnum, 512) << code;
    EXPECT_NE(ENOSYS, errnum) << "would switch the operation off for the whole mount";
  }
}

TEST(ErrnoTable, CodesMadeFromAnErrnoComeBackAsIt) {
  for (int errnum : {ENOENT, EEXIST, EBUSY, ENOTEMPTY, ENOTDIR, EISDIR, EINVAL, EOPNOTSUPP, EPERM, EROFS, ENOSPC,
                     ENAMETOOLONG, ENODATA, ERANGE, EINTR, EIO}) {
    EXPECT_EQ(errnum, to_errno(errno_error(errnum, "").code));
  }
}

TEST(ErrnoTable, NetworkTroubleIsAnInputOutputError) {
  for (const ErrorCode code : {ErrorCode::unavailable, ErrorCode::timeout, ErrorCode::protocol, ErrorCode::corrupt,
                               ErrorCode::refused_object, ErrorCode::internal}) {
    EXPECT_EQ(EIO, to_errno(code));
  }
  EXPECT_EQ(EACCES, to_errno(ErrorCode::unauthorized));
  EXPECT_EQ(EACCES, to_errno(ErrorCode::forbidden));
}

}  // namespace
}  // namespace artifactfs
