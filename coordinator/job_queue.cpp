#include "coordinator/job_queue.h"

#include <algorithm>

namespace strand {

std::vector<QueuedJob> queue_order(std::vector<QueuedJob> jobs, Time now) {
  std::erase_if(jobs, [&](const QueuedJob& job) { return job.not_before > now; });
  std::sort(jobs.begin(), jobs.end(), [](const QueuedJob& a, const QueuedJob& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.id < b.id;
  });
  return jobs;
}

Time next_ready(const std::vector<QueuedJob>& jobs, Time now, Time never) {
  Time first = never;
  for (const QueuedJob& job : jobs) {
    if (job.not_before > now) first = std::min(first, job.not_before);
  }
  return first;
}

}  // namespace strand
