// What a simulated cluster trains: a real job of a tiny model, its rows by number, and its tensors as symbols in the
// bytes of real checkpoint files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "shared/job_spec/job_spec.h"
#include "shared/plan/block_table.h"
#include "shared/plan/group_plan.h"
#include "shared/plan/model_digest.h"
#include "tests/sim/serial_run.h"

namespace strand::sim {

struct JobShape {
  int stages = 1, replicas = 2, min_replicas = 1;
  int64_t lanes = 4, staleness = 0;
  std::vector<int64_t> lane_shares;  // of each replica; empty: even
  bool tied = false, backup = true;
  Step steps = 10;
  int64_t checkpoint_every = 3, keep = 2;
  auto operator<=>(const JobShape&) const = default;
};

struct ClusterJob {
  JobSpec spec;
  std::string toml;
  std::vector<ParameterInfo> table;
  BlockTable blocks;
  std::vector<PlannedRange> ranges;
};
// Made once for each shape.
std::shared_ptr<const ClusterJob> cluster_job(const JobShape& shape);
SerialJob serial_job_of(const ClusterJob& job);

// Row `number` of the run, whoever serves it.
struct SimRow {
  uint64_t sample = 0;
  std::vector<uint16_t> tokens;
};
SimRow row_of(uint64_t number);
// Rows of the training set in a pass.
constexpr uint64_t kSegments = 37;
// First row of micro batch `micro` of the lane; each has micro_batch rows.
uint64_t first_row(const JobSpec& spec, Step step, int64_t lane, int64_t micro);
// What a step's record must hold for the lane.
uint64_t lane_audit(const JobSpec& spec, Step step, int64_t lane);

// The numbers of a range in this state: of each block weights, first, second moment, as a part holds them.
void append_range(const ClusterJob& job, uint32_t range, uint64_t state, std::vector<float>* numbers);
// The state of a range, of which the first array is given.
uint64_t state_in(const float* weights);
ModelDigests digests_at(const ClusterJob& job, SerialRun* serial, Step version);

}  // namespace strand::sim
