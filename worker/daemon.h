// The worker process: builds the real clock, network and disk, and turns the life cycle's decisions into actions.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "shared/base/result.h"
#include "shared/net/transport.h"

namespace strand {

struct WorkerOptions {
  std::string coordinator;  // endpoint
  uint64_t worker_id = 0;   // 0: drawn at random. Kept over restarts by whoever supervises the process
  std::string endpoint;     // where it listens for other workers; empty: nowhere, it can only train alone
  int threads = 0;          // 0: as the job says, else all cores
  std::function<std::unique_ptr<Transport>()> make_transport;
  std::function<std::unique_ptr<Transport>()> make_peer_transport;  // of frames up to kMaxPeerFrame
  const std::atomic<bool>* stop = nullptr;  // set by a signal: leave; the job goes on elsewhere or later
};

// Returns when told to stop, or with the reason why this worker may not take part.
Status run_worker(const WorkerOptions& options);

}  // namespace strand
