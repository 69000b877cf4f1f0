// Clock: where time comes from, so that tests can supply it. Monotonic time drives deadlines and backoff.
#pragma once

#include <chrono>

namespace artifactfs {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::steady_clock::time_point;
/// The moment by which something must have happened.
using Deadline = TimePoint;

/// Thread-safe. The fake in tests/ advances only on command.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  /// The process's real clock; lives for ever.
  static Clock& system();
};

}  // namespace artifactfs
