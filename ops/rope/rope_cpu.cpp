// The first version calls the reference.
#include "ops/rope/rope_backends.h"

namespace strand::cpu {

void rope(const OpContext& context, Matrix x, int64_t sequence, int64_t heads, int64_t head_size, float theta,
          bool inverse) {
  return reference::rope(context, x, sequence, heads, head_size, theta, inverse);
}

}  // namespace strand::cpu
