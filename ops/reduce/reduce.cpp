#include "ops/reduce/reduce.h"

#include "ops/core/element.h"
#include "ops/reduce/reduce_backends.h"

namespace strand {

void sum_rows(const OpContext& context, ConstMatrix x, float* out) {
  check_matrix("x", x);
  switch (context.backend) {
    case Backend::kReference: return reference::sum_rows(context, x, out);
    case Backend::kCpu: return cpu::sum_rows(context, x, out);
  }
}

void sum_squares_by_block(const OpContext& context, const float* x, int64_t n, double* partial) {
  STRAND_CHECK(n >= 0);
  switch (context.backend) {
    case Backend::kReference: return reference::sum_squares_by_block(context, x, n, partial);
    case Backend::kCpu: return cpu::sum_squares_by_block(context, x, n, partial);
  }
}

void add(const OpContext& context, const float* from, int64_t n, float* into) {
  STRAND_CHECK(n >= 0);
  switch (context.backend) {
    case Backend::kReference: return reference::add(context, from, n, into);
    case Backend::kCpu: return cpu::add(context, from, n, into);
  }
}

}  // namespace strand
