// The first version calls the reference.
#include "ops/cast/cast_backends.h"

namespace strand::cpu {

void cast(const OpContext& context, const float* from, int64_t n, BFloat16* to) {
  return reference::cast(context, from, n, to);
}

void cast(const OpContext& context, const BFloat16* from, int64_t n, float* to) {
  return reference::cast(context, from, n, to);
}

}  // namespace strand::cpu
