#include "fetch/cancellation.h"

namespace artifactfs {

void Cancellation::cancel() {
  cancelled_.store(true);
  // Under the lock, so that the response cannot end its life meanwhile; Response::cancel() does not block.
  MutexLock lock(mutex_);
  if (current_ != nullptr) current_->cancel();
}

Cancellation::Scope::Scope(Cancellation* cancellation, Response& response) : cancellation_(cancellation) {
  if (cancellation_ == nullptr) return;
  MutexLock lock(cancellation_->mutex_);
  cancellation_->current_ = &response;
  // cancel() may have come before there was a response to tell.
  if (cancellation_->cancelled()) response.cancel();
}

Cancellation::Scope::~Scope() {
  if (cancellation_ == nullptr) return;
  MutexLock lock(cancellation_->mutex_);
  cancellation_->current_ = nullptr;
}

std::unexpected<Error> fail_cancelled() {
  return fail(ErrorCode::cancelled, "cannot talk to the server", "the request was cancelled");
}

}  // namespace artifactfs
