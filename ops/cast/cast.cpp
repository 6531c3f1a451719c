#include "ops/cast/cast.h"

#include "ops/cast/cast_backends.h"
#include "shared/base/check.h"

namespace strand {

void cast(const OpContext& context, const float* from, int64_t n, BFloat16* to) {
  STRAND_CHECK(n >= 0);
  switch (context.backend) {
    case Backend::kReference: return reference::cast(context, from, n, to);
    case Backend::kCpu: return cpu::cast(context, from, n, to);
  }
}

void cast(const OpContext& context, const BFloat16* from, int64_t n, float* to) {
  STRAND_CHECK(n >= 0);
  switch (context.backend) {
    case Backend::kReference: return reference::cast(context, from, n, to);
    case Backend::kCpu: return cpu::cast(context, from, n, to);
  }
}

}  // namespace strand
