// Cancellation: lets another thread end a call that is under way.
#pragma once

#include <atomic>

#include "base/error.h"
#include "base/mutex.h"
#include "fetch/transport.h"

namespace artifactfs {

/// cancel() is sticky and thread-safe. One call at a time may use a Cancellation, which must outlive it. A call that
/// is only connecting ends when the transport's own time limit allows; one that reads an answer ends at once.
class Cancellation {
 public:
  void cancel();
  bool cancelled() const { return cancelled_.load(); }

  /// Makes cancel() reach `response` for as long as the scope lives. The response must outlive the scope.
  class Scope {
   public:
    /// `cancellation` may be null.
    Scope(Cancellation* cancellation, Response& response);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Cancellation* cancellation_;
  };

 private:
  std::atomic<bool> cancelled_{false};
  Mutex mutex_;
  Response* current_ GUARDED_BY(mutex_) = nullptr;
};

/// What a cancelled call fails with.
std::unexpected<Error> fail_cancelled();

}  // namespace artifactfs
