// Saving: the state is copied aside into a kept buffer (the training thread's only stall), then checksummed and written
// by a thread of its own. docs/checkpoint_format.md describes the bytes.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ops/core/context.h"
#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/fs/file_system.h"
#include "shared/wire/manifest.h"
#include "worker/params/param_shard.h"

namespace strand {

// Called on the writer's thread: the part is durable, or why it is not.
using PartDone = std::function<void(Step step, Result<PartSaved> part)>;

class CheckpointWriter {
 public:
  // Allocates the buffer (12 bytes per parameter) and touches it, so that no later save pays for page faults.
  CheckpointWriter(FileSystem& fs, std::string checkpoint_directory, const ParamShard& shard, PartDone done);
  ~CheckpointWriter();  // finishes what was begun

  // Copies the shard's state of `shard.version()` with the pool's threads. Waits first while an earlier checkpoint is
  // still being written; returns the nanoseconds spent here, waiting and copying: the stall.
  // `best`: of a finetuning run, as of this step; handed on in PartSaved.
  int64_t save(const OpContext& context, ParamShard& shard, Generation generation, uint64_t next_row,
               const BestEvaluation& best = {});
  // Waits until nothing is being written.
  void drain();

 private:
  struct Job {
    Step step = 0;
    Generation generation;
    uint64_t next_row = 0;
    BestEvaluation best;
  };
  void run();
  Result<PartSaved> write(const Job& job);

  FileSystem& fs_;
  std::string directory_;
  std::vector<ParameterInfo> table_;
  PartDone done_;
  int64_t elements_ = 0;
  std::unique_ptr<float[]> buffer_;  // weights, first moment, second moment
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Job> job_;
  bool stopping_ = false;
  std::thread thread_;
};

// "step-200/g3-0-8421376": the part of the elements [first, first + count) written in this generation.
std::string part_file_name(Step step, Generation generation, int64_t first_element, int64_t elements);

}  // namespace strand
