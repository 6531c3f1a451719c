// The scalars of one AdamW step: computed in double, then rounded once, as Python and PyTorch do.
#pragma once

#include <cmath>

#include "ops/adamw/adamw.h"

namespace strand::cpu {

struct AdamWFactors {
  explicit AdamWFactors(const AdamWArgs& args)
      : gradient_scale(static_cast<float>(args.gradient_scale)),
        decay(static_cast<float>(1 - args.learning_rate * args.weight_decay)),
        one_minus_beta1(static_cast<float>(1 - args.beta1)),
        beta2(static_cast<float>(args.beta2)),
        one_minus_beta2(static_cast<float>(1 - args.beta2)),
        root_correction2(static_cast<float>(std::sqrt(1 - std::pow(args.beta2, static_cast<double>(args.step))))),
        negative_step(
            static_cast<float>(-args.learning_rate / (1 - std::pow(args.beta1, static_cast<double>(args.step))))),
        epsilon(static_cast<float>(args.epsilon)) {}

  float gradient_scale;
  float decay;
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float root_correction2;
  float negative_step;
  float epsilon;
};

}  // namespace strand::cpu
