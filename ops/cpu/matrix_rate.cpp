#include "ops/cpu/matrix_rate.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "ops/matmul/matmul.h"

namespace strand {

double measure_matrix_rate(const OpContext& context, DType dtype) {
  constexpr int64_t kSize = 1536;
  const std::vector<float> a(kSize * kSize, 0.5f),
      b(kSize * kSize, 0.25f);  // as bf16: the first half, any bits will do
  std::vector<float> c(kSize * kSize);
  MatmulArgs args;
  args.a = ConstMatrix(a.data(), dtype, kSize, kSize);
  args.b = ConstMatrix(b.data(), dtype, kSize, kSize);
  args.c = Matrix(c.data(), DType::kF32, kSize, kSize);
  args.transpose_b = true;
  double best = 1e30;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  do {
    const auto begin = std::chrono::steady_clock::now();
    matmul(context, args);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  } while (std::chrono::steady_clock::now() < end);
  return 2.0 * kSize * kSize * kSize / best;
}

}  // namespace strand
