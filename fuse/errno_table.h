// The one place where an ErrorCode becomes an errno: what a program working in the mount is told.
#pragma once

#include "base/error.h"

namespace artifactfs {

/// A positive errno for every code; never 0.
int to_errno(ErrorCode code);

}  // namespace artifactfs
