#include "ops/adamw/adamw.h"

#include "ops/adamw/adamw_backends.h"
#include "shared/base/check.h"

namespace strand {

void adamw(const OpContext& context, const AdamWArgs& args, int64_t n, float* parameters, float* first_moment,
           float* second_moment, const float* gradient, BFloat16* rounded) {
  STRAND_CHECK(n >= 0 && args.step >= 1, "elements ", n, ", step ", args.step);
  STRAND_CHECK(args.beta1 >= 0 && args.beta1 < 1 && args.beta2 >= 0 && args.beta2 < 1, "betas ", args.beta1, ", ",
               args.beta2);
  switch (context.backend) {
    case Backend::kReference:
      return reference::adamw(context, args, n, parameters, first_moment, second_moment, gradient, rounded);
    case Backend::kCpu: return cpu::adamw(context, args, n, parameters, first_moment, second_moment, gradient, rounded);
  }
}

}  // namespace strand
