// The daemon's program: its arguments, and what it does with them. They are an arrangement with the command line; users
// see those of artifactfs(1).
#pragma once

#include "daemon/rooms.h"

namespace artifactfs {

/// Returns the exit code: 0, 1 (failed), 2 (usage).
int daemon_main(int argc, char** argv, Rooms rooms);

}  // namespace artifactfs
