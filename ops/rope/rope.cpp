#include "ops/rope/rope.h"

#include <cmath>

#include "ops/core/element.h"
#include "ops/rope/rope_backends.h"

namespace strand {

float rope_frequency(float theta, int64_t i, int64_t head_size) {
  return static_cast<float>(
      std::pow(static_cast<double>(theta), -2.0 * static_cast<double>(i) / static_cast<double>(head_size)));
}

void rope(const OpContext& context, Matrix x, int64_t sequence, int64_t heads, int64_t head_size, float theta,
          bool inverse) {
  STRAND_CHECK(head_size > 0 && head_size % 2 == 0 && heads > 0 && sequence > 0, "heads ", heads, ", head size ",
               head_size, ", sequence ", sequence);
  check_shape("x", x, x.rows, heads * head_size);
  switch (context.backend) {
    case Backend::kReference: return reference::rope(context, x, sequence, heads, head_size, theta, inverse);
    case Backend::kCpu: return cpu::rope(context, x, sequence, heads, head_size, theta, inverse);
  }
}

}  // namespace strand
