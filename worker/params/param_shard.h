// The parameter shard: authoritative fp32 weights, both moments, and the update, over one worker's key ranges.
// In one process it holds every range, and push and pull are in place.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ops/core/context.h"
#include "ops/core/dtype.h"
#include "shared/base/hash.h"
#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/parameter_table.h"

namespace strand {

// A run of whole blocks (65,536 elements, starting anew at each tensor) in parameter-table order.
struct KeyRange {
  int64_t first_element = 0;
  int64_t elements = 0;
};

class ParamShard {
 public:
  // Allocates; init() or the mutable spans fill it. `bf16_copy`: keep weights rounded to bf16 for the model.
  ParamShard(std::vector<ParameterInfo> table, const TrainSpec& train, bool bf16_copy);

  // Weights by name and seed (Philox, Purpose::kInit, n = index of the tensor's name hash): the same for any layout.
  void init(const OpContext& context, uint64_t seed);

  // push: hands the summed (not yet divided) gradient of `range` for the step after version(). In one process the
  // gradient is read in place; the memory must live until commit().
  void push(KeyRange range, const float* gradient);
  // Sum of squares of everything pushed, added in parameter-table order over per-block double partials.
  double squared_norm(const OpContext& context) const;
  // The commit of step version() + 1: every range was pushed and the norm is finite. Applies AdamW with the clip
  // coefficient and 1 / target_tokens. After it version() has risen by one.
  void commit(const OpContext& context, double squared_norm, int64_t target_tokens, double learning_rate);
  // pull: the weights of `range` at version(), in place: no copy in one process.
  const float* pull(KeyRange range) const;
  const BFloat16* pull_bf16(KeyRange range) const;  // null without a bf16 copy

  Step version() const { return version_; }
  const std::vector<ParameterInfo>& table() const { return table_; }
  int64_t elements() const { return elements_; }

  // State, for checkpoints: three arrays of elements() floats in parameter-table order.
  std::span<float> weights() { return weights_; }
  std::span<float> first_moment() { return first_moment_; }
  std::span<float> second_moment() { return second_moment_; }
  // After the spans were filled from a checkpoint of `step`.
  void restored(const OpContext& context, Step step);

  // XXH3-128 over (name, shape, XXH3-128 of each block) in table order (DESIGN section 5, Digests).
  Digest128 digest() const;
  // digest plus both moments, step and next row.
  Digest128 state_digest(uint64_t next_row) const;

 private:
  std::vector<ParameterInfo> table_;
  TrainSpec train_;
  int64_t elements_ = 0;
  Step version_ = 0;
  std::vector<float> weights_, first_moment_, second_moment_;
  std::vector<BFloat16> rounded_;
  std::vector<const float*> pushed_;  // per tensor
};

}  // namespace strand
