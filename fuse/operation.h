// What the operations share: finding their session, answering from a Result, and parking a reply that is not answered
// when the operation returns. Only for operations*.cpp.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "fuse/connection.h"

namespace artifactfs {

inline Connection& connection_of(fuse_req_t request) { return *static_cast<Connection*>(fuse_req_userdata(request)); }
inline Filesystem& filesystem_of(fuse_req_t request) { return connection_of(request).filesystem; }
Caller caller_of(fuse_req_t request);
/// FUSE_INTERRUPT of a parked reply.
void note_interrupt(fuse_req_t request, void* parked_id);

/// Answers an error as such, and success by `send(reply)` or `send(reply, value)`.
template <typename T, typename Send>
void answer(Reply& reply, const Result<T>& result, Send&& send) {
  if (!result) return reply.error(result.error());
  if constexpr (std::is_void_v<T>) {
    send(reply);
  } else {
    send(reply, *result);
  }
}

/// The Completion that answers so.
template <typename T, typename Send>
Completion<T> answering(Reply reply, Send send) {
  return [reply = std::move(reply), send](const Result<T>& result) mutable { answer(reply, result, send); };
}

// How results are sent.
inline void send_success(Reply& reply) { reply.errnum(0); }
inline void send_entry(Reply& reply, const Attributes& attributes) { reply.entry(attributes); }
inline void send_attributes(Reply& reply, const Attributes& attributes) { reply.attributes(attributes); }

/// Runs `operation` (which takes a Reply and returns a Ticket) and parks the reply if it is not answered by then.
template <typename Operation>
void run_parkable(fuse_req_t request, Operation&& operation) {
  Connection& connection = connection_of(request);
  const auto pending = std::make_shared<PendingReply>(request, connection.replies);
  Ticket ticket = operation(Reply(pending));
  connection.replies->park(pending, std::move(ticket), &note_interrupt);
}

// Each fills in the operations of its file.
void add_name_operations(fuse_lowlevel_ops& table);       // lookup, forget and what changes directories
void add_read_operations(fuse_lowlevel_ops& table);       // attributes and contents as they are
void add_directory_operations(fuse_lowlevel_ops& table);  // listings
void add_write_operations(fuse_lowlevel_ops& table);      // what changes attributes and contents

}  // namespace artifactfs
