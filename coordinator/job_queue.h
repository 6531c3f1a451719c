// Which queued jobs are served next. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/ids.h"

namespace strand {

struct QueuedJob {
  JobId id;
  int64_t priority = 0;  // larger first
  Time not_before;       // of its back-off
  int64_t gang = 1;      // workers it needs, all at once
};

// The jobs to consider now, in order: priority, then order of submission. A job in its back-off is left out, so it
// holds up nobody; a job that is ready but does not fit holds up those behind it (else a large gang would starve).
std::vector<QueuedJob> queue_order(std::vector<QueuedJob> jobs, Time now);
// When the first back-off ends; `never` when none is running.
Time next_ready(const std::vector<QueuedJob>& jobs, Time now, Time never);

}  // namespace strand
