#include <cmath>

#include "ops/adamw/adamw_backends.h"

namespace strand::reference {

void adamw(const OpContext&, const AdamWArgs& args, int64_t n, float* parameters, float* first_moment,
           float* second_moment, const float* gradient, BFloat16* rounded) {
  const double correction1 = 1 - std::pow(args.beta1, static_cast<double>(args.step));
  const double correction2 = 1 - std::pow(args.beta2, static_cast<double>(args.step));
  for (int64_t i = 0; i < n; ++i) {
    const double g = gradient[i] * args.gradient_scale;
    const double m = args.beta1 * first_moment[i] + (1 - args.beta1) * g;
    const double v = args.beta2 * second_moment[i] + (1 - args.beta2) * g * g;
    double p = parameters[i] * (1 - args.learning_rate * args.weight_decay);
    p -= args.learning_rate / correction1 * m / (std::sqrt(v) / std::sqrt(correction2) + args.epsilon);
    first_moment[i] = static_cast<float>(m);
    second_moment[i] = static_cast<float>(v);
    parameters[i] = static_cast<float>(p);
    if (rounded != nullptr) rounded[i] = to_bf16(parameters[i]);
  }
}

}  // namespace strand::reference
