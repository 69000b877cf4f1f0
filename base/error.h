// Error and Result: how every fallible function of this project reports failure.
//
// An Error carries a code (what kind of failure, for decisions), a sentence that names the subject ("cannot fetch
// 'abc'"), and the cause ("connection refused"). Exceptions are for bugs only and never cross a C callback. errno
// values exist in one table, in fuse/errno_table.h.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace artifactfs {

enum class ErrorCode {
  internal,          // a broken invariant of ours
  invalid_argument,  // the user's words are wrong
  not_found,
  already_exists,
  busy,
  not_empty,
  not_directory,
  is_directory,
  not_supported,
  permission_denied,
  read_only,
  unauthorized,  // the server wants (other) credentials
  forbidden,     // the server knows us and refuses
  unavailable,   // network, DNS, TLS, server 5xx: may work later
  timeout,
  protocol,        // the peer spoke nonsense
  corrupt,         // bytes that do not hash, unpack or parse to what they must
  refused_object,  // the server does not have, or will not give, an object that was asked for
  no_space,
  name_too_long,
  no_attribute,  // extended attribute absent
  out_of_range,
  io,
  cancelled,    // the caller went away
  interrupted,  // the caller is being killed
};

/// The code's name as it stands in the enum, for logs and the control API.
std::string_view to_string(ErrorCode code);

struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::internal;
  std::string sentence;  // "cannot <do what> '<subject>'"
  std::string cause;     // may be empty

  /// "sentence: cause", or the one that is present.
  std::string text() const;

  /// This error as the cause of a failed larger step; the code is kept.
  Error within(std::string outer_sentence) const { return {code, std::move(outer_sentence), text()}; }
};

template <typename T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorCode code, std::string sentence, std::string cause = {}) {
  return std::unexpected(Error{code, std::move(sentence), std::move(cause)});
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

/// An Error from errno; picks the code that fits (ENOENT -> not_found, ENOSPC -> no_space, ...).
Error errno_error(int errnum, std::string sentence);
inline std::unexpected<Error> fail_errno(int errnum, std::string sentence) {
  return std::unexpected(errno_error(errnum, std::move(sentence)));
}

// Returns from the enclosing function when `expr` (a Result) failed. TRY_ASSIGN also binds the value.
#define ARTIFACTFS_CONCAT_(a, b) a##b
#define ARTIFACTFS_CONCAT(a, b) ARTIFACTFS_CONCAT_(a, b)
#define TRY(expr)                                                                                     \
  do {                                                                                                \
    if (auto try_result = (expr); !try_result) return std::unexpected(std::move(try_result).error()); \
  } while (false)
#define TRY_ASSIGN(declaration, expr) TRY_ASSIGN_(ARTIFACTFS_CONCAT(try_result_, __LINE__), declaration, expr)
#define TRY_ASSIGN_(result, declaration, expr)                    \
  auto result = (expr);                                           \
  if (!result) return std::unexpected(std::move(result).error()); \
  declaration = std::move(*result)

}  // namespace artifactfs
