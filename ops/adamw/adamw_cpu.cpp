// The first version calls the reference.
#include "ops/adamw/adamw_backends.h"

namespace strand::cpu {

void adamw(const OpContext& context, const AdamWArgs& args, int64_t n, float* parameters, float* first_moment,
           float* second_moment, const float* gradient, BFloat16* rounded) {
  return reference::adamw(context, args, n, parameters, first_moment, second_moment, gradient, rounded);
}

}  // namespace strand::cpu
