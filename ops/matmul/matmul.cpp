#include "ops/matmul/matmul.h"

#include "ops/core/element.h"
#include "ops/matmul/matmul_backends.h"

namespace strand {

void matmul(const OpContext& context, const MatmulArgs& args) {
  const auto [m, n, k] = matmul_size(args);
  check_matrix("c", args.c);
  check_shape("a", args.a, args.transpose_a ? k : m, args.transpose_a ? m : k);
  check_shape("b", args.b, args.transpose_b ? n : k, args.transpose_b ? k : n);
  check_dtype("b", args.b, args.a.dtype);
  STRAND_CHECK(args.c.dtype == DType::kF32 || args.a.dtype == DType::kBF16, "c is bf16 but a and b are fp32");
  STRAND_CHECK(!args.accumulate || (args.c.dtype == DType::kF32 && args.bias == nullptr),
               "accumulation needs an fp32 c and no bias");
  if (m == 0 || n == 0) return;
  switch (context.backend) {
    case Backend::kReference: return reference::matmul(context, args);
    case Backend::kCpu: return cpu::matmul(context, args);
  }
}

}  // namespace strand
