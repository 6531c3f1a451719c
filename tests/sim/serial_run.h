// What every shape must come to: training written down as symbols by one loop over steps, lanes and ranges, without any
// worker. A sum is the hash of its expression, so another order of adding, a missing or a doubled operand is another
// symbol.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <utility>
#include <vector>

#include "shared/plan/group_plan.h"
#include "shared/wire/shard_messages.h"

namespace strand::sim {

uint64_t symbol(std::initializer_list<uint64_t> parts);

struct SerialJob {
  std::vector<PlannedRange> ranges;
  int64_t lanes = 1;
  int64_t micro_batches = 2;
  // False (ssp): gradients do not depend on the weights they were made with, so that one run stands for all.
  bool reads_weights = true;
  std::function<uint64_t(Step step, int64_t lane)> rows_hash;  // none: a symbol
};

class SerialRun {
 public:
  explicit SerialRun(SerialJob job) : job_(std::move(job)) {}

  const SerialJob& job() const { return job_; }
  uint64_t state(uint32_t range, Step version);
  const StepRecord& record(Step step);

  static uint64_t weights(uint64_t state) { return symbol({1, state}); }
  static uint64_t add(uint64_t left, uint64_t right) { return symbol({2, left, right}); }
  static uint64_t add_uses(uint64_t input, uint64_t output) { return symbol({10, input, output}); }
  std::vector<double> squares(uint32_t range, uint64_t sum) const;
  static uint64_t applied(uint64_t state, uint64_t sum, const StepRecord& record);
  // Gradient of one lane; `weights` of all ranges that its stage reads, in order.
  uint64_t lane_gradient(Step step, int64_t lane, uint32_t range, uint32_t use,
                         const std::vector<uint64_t>& weights) const;
  uint64_t subtree_gradient(Step step, LaneSubtree subtree, uint32_t range, uint32_t use,
                            const std::vector<uint64_t>& weights) const;
  // As the first (rows) and the last (losses) stage tell them.
  LaneNumbers numbers(Step step, int64_t lane, bool first_stage, bool last_stage) const;

 private:
  void run_to(Step step);

  SerialJob job_;
  std::vector<std::vector<uint64_t>> states_;  // by version, then range
  std::vector<StepRecord> records_;            // of step i + 1
};

}  // namespace strand::sim
