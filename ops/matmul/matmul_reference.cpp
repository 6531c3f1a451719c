#include "ops/core/element.h"
#include "ops/matmul/matmul_backends.h"

namespace strand::reference {

void matmul(const OpContext&, const MatmulArgs& args) {
  const auto [m, n, k] = matmul_size(args);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = args.accumulate ? element(args.c, i, j) : 0;
      if (args.bias != nullptr) sum += args.bias[j];
      for (int64_t p = 0; p < k; ++p) {
        const double a = args.transpose_a ? element(args.a, p, i) : element(args.a, i, p);
        const double b = args.transpose_b ? element(args.b, j, p) : element(args.b, p, j);
        sum += a * b;
      }
      set_element(args.c, i, j, sum);
    }
  }
}

}  // namespace strand::reference
