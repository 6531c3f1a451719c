#include "ops/cast/cast_backends.h"

namespace strand::reference {

void cast(const OpContext&, const float* from, int64_t n, BFloat16* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = to_bf16(from[i]);
}

void cast(const OpContext&, const BFloat16* from, int64_t n, float* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = to_float(from[i]);
}

}  // namespace strand::reference
