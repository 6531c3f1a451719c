// AdamW (Loshchilov and Hutter, 2019), as torch.optim.AdamW computes it:
//   p *= 1 - lr * weight_decay;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
//   p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
#pragma once

#include <cstdint>

#include "ops/core/context.h"
#include "ops/core/dtype.h"

namespace strand {

struct AdamWArgs {
  // Doubles, as Python's numbers: 1 - beta must not inherit the rounding of a float beta.
  double learning_rate = 0;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0;
  int64_t step = 1;           // t, from 1
  double gradient_scale = 1;  // multiplies every gradient first: clip coefficient / number of targets
};

// n elements; parameters, moments and gradients fp32. rounded (may be null): the new parameters as bf16.
void adamw(const OpContext& context, const AdamWArgs& args, int64_t n, float* parameters, float* first_moment,
           float* second_moment, const float* gradient, BFloat16* rounded);

}  // namespace strand
