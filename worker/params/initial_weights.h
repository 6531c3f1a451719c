// Initial weights as a function of (seed, tensor name, element): the same for any layout and number of threads.
#pragma once

#include <cstdint>

#include "ops/core/context.h"
#include "shared/job_spec/parameter_table.h"

namespace strand {

// out[tensor.elements]. Normal deviates beyond 3 standard deviations are drawn again.
void fill_initial_weights(const OpContext& context, const ParameterInfo& tensor, uint64_t seed, float* out);

}  // namespace strand
