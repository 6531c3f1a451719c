// Which requests are waiting for an answer: deadlines, resending with the same number, duplicates. Pure: time is an
// argument.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "shared/base/clock.h"

namespace strand {

struct RetryPolicy {
  Duration first_retry = std::chrono::milliseconds(200);  // doubled on every retry, up to max_retry
  Duration max_retry = std::chrono::seconds(2);
  Duration deadline = std::chrono::seconds(60);  // from begin(); zero or less: never expires
};

class RequestTracker {
 public:
  explicit RequestTracker(RetryPolicy policy) : policy_(policy) {}

  // Numbers rise from 1 and are never reused. The caller sends the request now.
  uint64_t begin(Time now);
  // True for the first answer to a known request; false for a duplicate or a stranger (drop and count).
  bool complete(uint64_t request);

  struct Due {
    std::vector<uint64_t> resend;   // send again, same number
    std::vector<uint64_t> expired;  // given up; forgotten
  };
  Due poll(Time now);
  // When poll() next has something to say; nothing when no request waits (returns `never`).
  Time next_event(Time never) const;
  size_t waiting() const { return waiting_.size(); }

 private:
  struct Entry {
    Time next, deadline;
    Duration interval;
  };
  RetryPolicy policy_;
  uint64_t last_ = 0;
  std::map<uint64_t, Entry> waiting_;
};

}  // namespace strand
