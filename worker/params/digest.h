// Digests of a model and of a training state (DESIGN section 5, Digests): the same for any layout over workers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "shared/base/hash.h"
#include "shared/base/ids.h"
#include "shared/job_spec/parameter_table.h"
#include "shared/plan/key_range.h"
#include "shared/plan/model_digest.h"

namespace strand {

// Three arrays in parameter-table order, and the version they belong to.
struct StateView {
  std::span<const float> weights, first_moment, second_moment;
  Step step = 0;
};

// XXH3-128 over (name, shape, XXH3-128 of each block of 65,536 elements) in table order, of the fp32 weights.
Digest128 model_digest(const std::vector<ParameterInfo>& table, std::span<const float> weights);
// XXH3-128 of each block of `range`, whose values begin at `values`: what model_digest.h makes digests from.
std::vector<Digest128> block_digests(const std::vector<ParameterInfo>& table, KeyRange range, const float* values);

// model_digest of the weights and of both moments, then step and next row.
Digest128 state_digest(const std::vector<ParameterInfo>& table, const StateView& state, uint64_t next_row);

}  // namespace strand
