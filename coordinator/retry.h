// Whether a failed or lost attempt is tried again, when, and where. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/ids.h"
#include "shared/base/result.h"

namespace strand {

struct BackOff {
  Duration first = std::chrono::milliseconds(250);
  Duration longest = std::chrono::seconds(30);
};

enum class FailureClass {
  kNever,      // the same input will fail again: bad job, missing file, non-finite loss
  kHere,       // something was away for a moment: the same worker may try again
  kElsewhere,  // this machine may be the cause: another one first, if there is one
  kReload,     // bytes were not what they were: from an older checkpoint
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

// Which workers have failed one job, and are left out of it for a while. A worker that failed it kFailures times within
// the time is left out until the oldest of those is so long ago; a host whose workers did so twice as often, with all
// its workers. Not journalled: a restarted coordinator gives everybody another chance.
class Exclusions {
 public:
  static constexpr size_t kFailures = 3;

  // `cut_off_time`: of leave_out(), the first time. It has to be longer than it takes to find a cut, or the job would
  // do nothing else.
  Exclusions(Duration time, Duration cut_off_time) : time_(time), cut_off_time_(cut_off_time) {}

  void failed(WorkerId worker, const std::string& host, Time now);
  // Left out from now on, since the others do not reach it; again not long after it came back, for twice as long. A
  // worker whose ways are still cut is found out only a while after it is asked again, so it counts as well when it has
  // been in for kWell times as long as it was out.
  void leave_out(WorkerId worker, Time now);
  bool was_left_out(WorkerId worker, Time now) const;
  // This very process cannot take part (another file system, too little memory): never again.
  void bar(WorkerId worker, Incarnation incarnation) { barred_[worker] = incarnation; }
  bool barred(WorkerId worker, Incarnation incarnation) const;
  // Failures that still count.
  size_t failures(WorkerId worker, Time now) const;
  bool excluded(WorkerId worker, const std::string& host, Time now) const;

 private:
  static constexpr int kDoublings = 5, kWell = 8;
  struct LeftOut {
    Time until;
    int times = 0;  // one after the other
  };

  size_t recent(const std::vector<Time>& times, Time now) const;
  Duration left_out_for(int times) const { return cut_off_time_ * (int64_t{1} << std::min(times - 1, kDoublings)); }

  Duration time_, cut_off_time_;
  std::map<WorkerId, std::vector<Time>> by_worker_;  // the newest few
  std::map<std::string, std::vector<Time>> by_host_;
  std::map<WorkerId, LeftOut> left_out_;
  std::map<WorkerId, Incarnation> barred_;
};

}  // namespace strand
