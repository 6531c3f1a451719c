#include "shared/net/request_tracker.h"

#include <algorithm>
#include <limits>

namespace strand {

uint64_t RequestTracker::begin(Time now) {
  constexpr Time kNever{std::numeric_limits<int64_t>::max()};
  const Time deadline = policy_.deadline > Duration::zero() ? now + policy_.deadline : kNever;
  waiting_[++last_] = {now + policy_.first_retry, deadline, policy_.first_retry};
  return last_;
}

bool RequestTracker::complete(uint64_t request) {
  return waiting_.erase(request) == 1;
}

RequestTracker::Due RequestTracker::poll(Time now) {
  Due due;
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    Entry& entry = it->second;
    if (entry.deadline <= now) {
      due.expired.push_back(it->first);
      it = waiting_.erase(it);
      continue;
    }
    if (entry.next <= now) {
      due.resend.push_back(it->first);
      entry.interval = std::min(2 * entry.interval, policy_.max_retry);
      entry.next = now + entry.interval;
    }
    ++it;
  }
  return due;
}

Time RequestTracker::next_event(Time never) const {
  Time next = never;
  for (const auto& [request, entry] : waiting_) next = std::min({next, entry.next, entry.deadline});
  return next;
}

}  // namespace strand
