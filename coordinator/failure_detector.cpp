#include "coordinator/failure_detector.h"

#include <algorithm>

namespace strand {

void FailureDetector::heard(WorkerId worker, Time now) {
  deadlines_[worker] = now + lease_;
}

void FailureDetector::forget(WorkerId worker) {
  deadlines_.erase(worker);
}

std::vector<WorkerId> FailureDetector::expired(Time now) {
  const Duration gap = polled_ ? now - last_poll_ : Duration::zero();
  if (gap > lease_ / 2) {
    for (auto& [worker, deadline] : deadlines_) deadline = deadline + gap;
  }
  polled_ = true;
  last_poll_ = now;
  std::vector<WorkerId> silent;
  Time last;
  for (const auto& [worker, deadline] : deadlines_) {
    if (deadline < now) silent.push_back(worker);
    last = std::max(last, deadline);
  }
  if (silent.size() < deadlines_.size() && last - now < lease_ / 2) return {};
  for (const WorkerId worker : silent) deadlines_.erase(worker);
  return silent;
}

Time FailureDetector::next_event(Time never) const {
  Time first = never;
  for (const auto& [worker, deadline] : deadlines_) first = std::min(first, deadline);
  return first;
}

}  // namespace strand
