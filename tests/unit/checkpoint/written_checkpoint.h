// A job's state cut over the workers of a group of any shape, and the checkpoint that they write together: production
// cut, ranges, writer and digests, on the simulated disk.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ops/core/thread_pool.h"
#include "shared/job_spec/job_spec.h"
#include "shared/plan/stage_ranges.h"
#include "shared/wire/manifest.h"
#include "tests/support/faulty_file_system.h"
#include "worker/checkpoint/checkpoint_writer.h"
#include "worker/params/param_shard.h"

namespace strand::testing {

struct GroupShape {
  int stages = 1, replicas = 1;
  int chunks = 1;
  bool random_primaries = false;  // else as assign_holders deals them
};

class WrittenCheckpoint {
 public:
  static constexpr Step kStep = 40;
  static constexpr uint64_t kNextRow = 640;
  inline static const std::string kFolder = "/run/checkpoints";

  // Four blocks, tied; vocabulary x hidden decides how many blocks the embedding has.
  WrittenCheckpoint(int64_t vocabulary, int64_t hidden, uint64_t seed);

  // Every member's part of a step, none twice the same generation; what each has reported.
  std::vector<PartSaved> write(const GroupShape& shape, Generation generation, Step step = kStep);
  // As a lone worker.
  PartSaved write_alone(Generation generation, Step step = kStep);
  // As the coordinator makes it; written.
  Manifest commit(const std::vector<PartSaved>& parts, Step step = kStep);
  // Members of this shape load what they hold as primary or backup; whether they then hold the state, bit for bit.
  // Errors as load_ranges.
  Result<bool> loads_at(const GroupShape& shape, const Manifest& manifest);
  // The same for a lone worker; errors as load_parts.
  Result<bool> loads_alone(const Manifest& manifest);

  FaultyFileSystem& disk() { return disk_; }
  const std::vector<ParameterInfo>& table() const { return table_; }
  const ParamShard& state() const { return whole_; }

 private:
  struct Cut {
    StageCut stages;
    std::vector<PlannedRange> ranges;
    std::vector<RangeHolders> holders;
  };
  Cut cut(const GroupShape& shape);
  std::vector<float> state_of(KeyRange range) const;
  ParamShard member(const Cut& cut, int replica, int stage, bool filled);

  std::mt19937_64 random_;
  ThreadPool pool_{2};
  Workspace workspace_{2};
  OpContext context_{&pool_, &workspace_, Backend::kCpu};
  FaultyFileSystem disk_;
  JobSpec spec_;
  std::vector<ParameterInfo> table_;
  ParamShard whole_;
};

}  // namespace strand::testing
