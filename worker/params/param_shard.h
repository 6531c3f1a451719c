// The parameter shard: authoritative fp32 weights, both moments, and the update, over one worker's key ranges.
// In one process it holds every range, and push and pull are in place. In a group it holds some
// (docs/parameter_shards.md): weights are there for the whole table, so that the model reads them in place, moments for
// the held ranges only, and every operation on a range gives the bits that it has in a shard that holds all.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "ops/core/context.h"
#include "ops/core/dtype.h"
#include "shared/base/hash.h"
#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/parameter_table.h"
#include "shared/plan/group_plan.h"

namespace strand {

// What the update of one step takes from outside its range.
struct StepUpdate {
  Step step = 0;  // the version it makes
  double squared_norm = 0;
  int64_t target_tokens = 0;
  double learning_rate = 0;
};

class ParamShard {
 public:
  // Allocates; init() or the mutable spans fill it. `bf16_copy`: keep weights rounded to bf16 for the model. Holds all.
  ParamShard(std::vector<ParameterInfo> table, const TrainSpec& train, bool bf16_copy);
  // Holds these ranges of the table.
  ParamShard(std::vector<ParameterInfo> table, const TrainSpec& train, bool bf16_copy,
             const std::vector<KeyRange>& held);

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

  // --- one held range at a time; a shard that holds all takes any run of whole blocks ---

  void hold(KeyRange range);  // with moments of zero
  void drop(KeyRange range);  // one that was given to hold
  bool holds(KeyRange range) const { return find(range) >= 0; }
  // Sums of squares of each block of the range. `gradient` begins at the range.
  std::vector<double> norm_partials(const OpContext& context, KeyRange range, const float* gradient) const;
  // The update of step update.step. Version() is the caller's to keep (restored()) when all ranges have it.
  void update(const OpContext& context, KeyRange range, const float* gradient, const StepUpdate& update);
  // Weights, first and second moment, one after the other: 3 x elements.
  void copy_state(KeyRange range, float* out) const;
  void take_state(const OpContext& context, KeyRange range, const float* state);
  // Weights of a range that need not be held: the model reads them here.
  void take_weights(const OpContext& context, KeyRange range, const float* weights);
  // XXH3-128 of each block: of weights, first and second moment.
  std::array<std::vector<Digest128>, 3> digests(KeyRange range) const;

  Step version() const { return version_; }
  const std::vector<ParameterInfo>& table() const { return table_; }
  int64_t elements() const { return elements_; }

  // State, for checkpoints: three arrays of elements() floats in parameter-table order.
  std::span<float> weights() { return weights_; }
  std::span<float> first_moment() { return all().first_moment; }  // of a shard that holds all
  std::span<float> second_moment() { return all().second_moment; }
  // After the spans were filled from a checkpoint of `step`.
  void restored(const OpContext& context, Step step);

  // XXH3-128 over (name, shape, XXH3-128 of each block) in table order (DESIGN section 5, Digests).
  Digest128 digest() const;
  // digest plus both moments, step and next row.
  Digest128 state_digest(uint64_t next_row) const;

 private:
  struct Held {
    KeyRange keys;
    std::vector<float> first_moment, second_moment;
  };

  // First element of the held range that `range` lies in; -1: none.
  int64_t find(KeyRange range) const;
  const Held& held(KeyRange range) const;
  Held& held(KeyRange range);
  Held& all() { return held({0, elements_}); }
  void round(const OpContext& context, KeyRange range);

  std::vector<ParameterInfo> table_;
  TrainSpec train_;
  int64_t elements_ = 0;
  Step version_ = 0;
  std::vector<float> weights_;
  std::map<int64_t, Held> held_;  // by first element
  std::vector<BFloat16> rounded_;
  std::vector<const float*> pushed_;  // per tensor
};

}  // namespace strand
