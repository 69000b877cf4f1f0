// What git's credential helper in a mount (cli/credential/) and the daemon say to each other. Nothing but constants, so
// that the helper starts without our libraries.
//
// Each mount of an http(s) remote has a stream socket of its own, kCredentialSocketName, in its directory
// (mounts/<mount-id>), where the link that credential.<url>.helper names lies too. The helper sends the operation
// ("get", "erase"), a newline, and git's description (git-credential(1), "INPUT/OUTPUT FORMAT"), and shuts its side
// down for writing; the daemon answers with the lines for git, none when it knows nothing, and closes.
#pragma once

#include <cstddef>

namespace artifactfs {

inline constexpr char kCredentialSocketName[] = "credential.sock";
inline constexpr size_t kCredentialMaxBytes = 65536;  // of a question, and of an answer
inline constexpr int kCredentialTimeoutSeconds = 5;

}  // namespace artifactfs
