// What HTTP shows: texts made by the coordinator's thread a few times a second, read by the server's threads.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "coordinator/coordinator.h"
#include "shared/http/http_server.h"
#include "shared/metrics/metrics.h"

namespace strand {

class PublishedState {
 public:
  void update(const Coordinator& core, Time now);
  // GET /metrics (Prometheus), /jobs, /jobs/ID, /workers, /healthz. Unhealthy (503) when the coordinator's thread has
  // not updated for a whole lease.
  HttpAnswer answer(const std::string& path, Time now, Duration lease) const;

 private:
  std::string metrics_text(const Json& counters, const Json& jobs);

  MetricsRegistry registry_;  // coordinator's thread only
  mutable std::mutex mutex_;
  std::map<std::string, std::string> json_;  // by path
  std::string metrics_;
  Time updated_;
};

}  // namespace strand
