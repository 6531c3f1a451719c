// What the update of a step takes from the job: clipping and decay groups.
#pragma once

#include <algorithm>

#include "shared/job_spec/job_spec.h"
#include "shared/job_spec/parameter_table.h"

namespace strand {

// Of the mean gradient's global L2 norm, as torch.nn.utils.clip_grad_norm_: max_norm / (norm + 1e-6), at most 1.
inline double clip_coefficient(double max_norm, double norm) {
  return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

inline double weight_decay(const TrainSpec& train, DecayGroup group) {
  switch (group) {
    case DecayGroup::kMatrix: return train.weight_decay;
    case DecayGroup::kEmbedding: return train.decay_embeddings ? train.weight_decay : 0;
    case DecayGroup::kNormOrBias: return train.decay_norm_and_bias ? train.weight_decay : 0;
  }
  return train.weight_decay;
}

}  // namespace strand
