// Digests of a model and of a training state (DESIGN section 5, Digests): the same for any layout over workers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "shared/base/hash.h"
#include "shared/base/ids.h"
#include "shared/job_spec/parameter_table.h"
#include "shared/plan/group_plan.h"

namespace strand {

// Three arrays in parameter-table order, and the version they belong to.
struct StateView {
  std::span<const float> weights, first_moment, second_moment;
  Step step = 0;
};

// XXH3-128 over (name, shape, XXH3-128 of each block of 65,536 elements) in table order, of the fp32 weights.
Digest128 model_digest(const std::vector<ParameterInfo>& table, std::span<const float> weights);
// In two parts, so that workers who hold ranges can make one together: XXH3-128 of each block of `range`, whose values
// begin at `values`; then the digest over the blocks of the whole table, in order.
std::vector<Digest128> block_digests(const std::vector<ParameterInfo>& table, KeyRange range, const float* values);
Digest128 digest_of_blocks(const std::vector<ParameterInfo>& table, std::span<const Digest128> blocks);

// model_digest of the weights and of both moments, then step and next row.
Digest128 state_digest_of(std::span<const Digest128, 3> weights_and_moments, Step step, uint64_t next_row);
Digest128 state_digest(const std::vector<ParameterInfo>& table, const StateView& state, uint64_t next_row);

}  // namespace strand
