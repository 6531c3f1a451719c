// Saving: the state is copied aside into a kept buffer (the training thread's only stall), then checksummed and written
// by a thread of its own. A worker of a group writes the ranges it is the primary of, a lone worker everything.
// docs/checkpoint_format.md describes the bytes.
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
#include "shared/plan/block_table.h"
#include "worker/checkpoint/part_file.h"
#include "worker/params/param_shard.h"

namespace strand {

// Called on the writer's thread: the part is durable, or why it is not.
using PartWritten = std::function<void(Step step, Result<PartSaved> part)>;

// A range that goes into a part.
struct PartSource {
  KeyRange job;    // whole blocks, in job_parameter_table's flat order
  KeyRange local;  // where they lie in the shard's own table: as many elements, held
};

class CheckpointWriter {
 public:
  // A lone worker, whose shard holds the whole job.
  CheckpointWriter(FileSystem& fs, std::string checkpoint_directory, const ParamShard& shard, PartWritten done);
  // Of any job, any parts. Allocates the buffer for `capacity` elements (12 bytes each) and touches it, so that no
  // later save pays for page faults; a save of more makes it grow.
  CheckpointWriter(FileSystem& fs, std::string checkpoint_directory, std::vector<ParameterInfo> job_table,
                   int64_t capacity, PartWritten done);
  ~CheckpointWriter();  // finishes what was begun

  // Copies these ranges of the shard, which may be none and lie in any order, with the pool's threads. Waits first
  // while an earlier checkpoint is still being written; returns the nanoseconds spent here, waiting and copying: the
  // stall. A part of the whole job says its digests itself, any other those of its blocks.
  int64_t save(const OpContext& context, const ParamShard& shard, const std::vector<PartSource>& parts,
               const PartRequest& request);
  // The lone worker's: the whole shard at its version.
  int64_t save(const OpContext& context, ParamShard& shard, Generation generation, uint64_t next_row,
               const BestEvaluation& best = {});
  // Waits until nothing is being written.
  void drain();

 private:
  struct CopiedBlock {
    size_t number = 0;   // in the job's table
    int64_t local = 0;   // first element in the shard
    int64_t offset = 0;  // elements before it in the buffer
  };
  struct Job {
    PartRequest request;
    std::vector<KeyRange> ranges;  // in order, neighbours joined
    std::vector<CopiedBlock> blocks;
    int64_t elements = 0;
  };
  Job job_of(std::vector<PartSource> parts, const PartRequest& request) const;
  void run();
  Result<PartSaved> write(const Job& job);

  FileSystem& fs_;
  std::string directory_;
  std::vector<ParameterInfo> table_;  // of the job
  BlockTable blocks_;
  PartWritten done_;
  int64_t capacity_ = 0;
  std::unique_ptr<float[]> buffer_;  // block after block as in the file: weights, first moment, second moment
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Job> job_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace strand
