// What a worker process asks of whoever trains its job: alone (job_runner.h) or as a member of a group
// (member/group_runner.h).
#pragma once

#include <functional>
#include <memory>

#include "shared/base/clock.h"
#include "shared/fs/file_system.h"
#include "shared/net/transport.h"
#include "worker/worker.h"

namespace strand {

// What a runner is built from; all references outlive it.
struct RunnerSeams {
  FileSystem* fs = nullptr;
  const Clock* clock = nullptr;
  std::function<std::unique_ptr<Transport>()> make_transport;  // one for the data servers
  std::function<void(TrainingReport)> report;                  // thread-safe
};

// Its destructor stops at once and joins.
class Runner {
 public:
  virtual ~Runner() = default;
  // After the step at hand: with a checkpoint of the newest committed step, or without.
  virtual void stop(bool checkpoint) = 0;
  // A new generation of the same job. False: this runner cannot go on in it, another one has to begin.
  virtual bool go_on(const StartTraining& start) = 0;
};

}  // namespace strand
