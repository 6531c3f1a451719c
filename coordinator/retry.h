// Whether a failed or lost attempt is tried again, and when. Pure.
#pragma once

#include <cstdint>

#include "shared/base/clock.h"
#include "shared/base/result.h"

namespace strand {

struct BackOff {
  Duration first = std::chrono::milliseconds(250);
  Duration longest = std::chrono::seconds(30);
};

enum class FailureClass {
  kNever,  // the same input will fail again: bad job, missing file, non-finite loss
  kRetry,  // elsewhere if there is an elsewhere, else here
};
FailureClass classify_failure(ErrorCode code);

struct RetryDecision {
  bool again = false;
  int64_t attempts = 0;  // restarts since progress was last made, this one included
  Duration wait{};
};
// attempts: restarts so far without progress. progressed: this attempt committed a step or checkpoint no earlier one
// had; it wipes the slate. The breaker: more than `retries` restarts without progress are given up.
RetryDecision decide_retry(int64_t attempts, int64_t retries, bool progressed, const BackOff& back_off);

}  // namespace strand
