// Learning rate of each step, as OLMo's schedulers compute it (omni-dna.md section 3), with warm-up from 0.
#pragma once

#include "shared/base/ids.h"
#include "shared/job_spec/job_spec.h"

namespace strand {

// Of the update that makes `step` (from 1). Linear over `warmup` steps, then:
//   constant: peak;  linear and cosine: down to final_fraction x peak at the last step;
//   inverse_sqrt: peak x sqrt(warmup / step), a warm-up of 0 counted as 1.
double learning_rate(const TrainSpec& train, Step step);

}  // namespace strand
