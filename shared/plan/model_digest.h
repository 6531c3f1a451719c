// Digests of a model and of a training state (DESIGN section 5, Digests) from those of its blocks, so that workers who
// hold ranges can make one together, and whoever is told the blocks' digests can say the model's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "shared/base/hash.h"
#include "shared/base/ids.h"
#include "shared/job_spec/parameter_table.h"

namespace strand {

// XXH3-128 over (name, shape, XXH3-128 of each block of kRangeBlockElements) in table order. `blocks`: of the whole
// table, in order (BlockTable).
Digest128 digest_of_blocks(const std::vector<ParameterInfo>& table, std::span<const Digest128> blocks);
// Of the digests of the weights and of both moments, then step and next row.
Digest128 state_digest_of(std::span<const Digest128, 3> weights_and_moments, Step step, uint64_t next_row);

struct ModelDigests {
  Digest128 digest, state_digest;
};
// Both. `blocks`: of each block of the table in order its weights, first moments and second moments.
ModelDigests digests_of_state(const std::vector<ParameterInfo>& table, std::span<const Digest128> blocks, Step step,
                              uint64_t next_row);

}  // namespace strand
