// RemoteRef: a ref as a server lists it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/object_id.h"

namespace artifactfs {

struct RemoteRef {
  std::string name;  // "HEAD", "refs/heads/main"
  ObjectId oid;      // null for an unborn HEAD
  std::optional<ObjectId> peeled;
  std::optional<std::string> symbolic_target;

  friend bool operator==(const RemoteRef&, const RemoteRef&) = default;
};

/// True for "HEAD" and for names under refs/ that git-check-ref-format(1) allows. Others must not reach a gitdir.
bool is_valid_ref_name(std::string_view name);

/// A line of an ls-refs answer (gitprotocol-v2(5)): "<oid or 'unborn'> <name>[ symref-target:<name>][ peeled:<oid>]".
/// nullopt for a ref whose name is not valid, which is to be ignored, as git does. ErrorCode::protocol when it is no
/// such line.
Result<std::optional<RemoteRef>> parse_ls_refs_line(std::string_view line);

}  // namespace artifactfs
