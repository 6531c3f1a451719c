#include "coordinator/retry.h"

#include <algorithm>

namespace strand {

FailureClass classify_failure(ErrorCode code) {
  return code == ErrorCode::kBadInput || code == ErrorCode::kNotFound ? FailureClass::kNever : FailureClass::kRetry;
}

RetryDecision decide_retry(int64_t attempts, int64_t retries, bool progressed, const BackOff& back_off) {
  RetryDecision decision;
  decision.attempts = progressed ? 1 : attempts + 1;
  decision.again = progressed || attempts < retries;
  const int doublings = static_cast<int>(std::min<int64_t>(decision.attempts - 1, 20));
  decision.wait = std::min(back_off.first * (int64_t{1} << doublings), back_off.longest);
  return decision;
}

}  // namespace strand
