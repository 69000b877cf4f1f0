// The operations: each decodes a request, calls the Filesystem and replies, or parks the reply. Nothing here waits or
// keeps state; a Connection is the libfuse session's user data.
#pragma once

#include "fuse/connection.h"

namespace artifactfs {

/// Lives for ever. `open_reads`: see FuseOptions.
const fuse_lowlevel_ops& operations(bool open_reads);

}  // namespace artifactfs
