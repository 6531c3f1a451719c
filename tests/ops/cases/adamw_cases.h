// The cases of ops/adamw, for tests and benchmarks.
#pragma once

#include <string>
#include <vector>

#include "ops/adamw/adamw.h"
#include "tests/ops/tensors.h"

namespace strand::test {

// Tensors: parameters, first moment, second moment, gradient, rounded parameters.
inline Prepared adamw_case(int64_t n, int64_t step, bool rounded, double gradient_scale = 1) {
  Prepared p;
  p.name = concat("adamw ", n, " step ", step, rounded ? " rounded" : "", " gradient x ", gradient_scale);
  p.tensors = {random_tensor(1, DType::kF32, 1, n), random_tensor(2, DType::kF32, 1, n, 0, 0.1),
               random_tensor(3, DType::kF32, 1, n, 0, 0.01, 0.011), random_tensor(4, DType::kF32, 1, n),
               Tensor(DType::kBF16, 1, n)};
  p.run = [n, step, rounded, gradient_scale](const OpContext& context, Tensors& t) {
    const AdamWArgs args{.learning_rate = 1e-3, .weight_decay = 0.1, .step = step, .gradient_scale = gradient_scale};
    adamw(context, args, n, t[0].f32(), t[1].f32(), t[2].f32(), t[3].f32(), rounded ? t[4].matrix().bf16() : nullptr);
  };
  p.relative = 5e-7;
  p.absolute = 1e-7;
  p.bytes_moved = (rounded ? 30.0 : 28.0) * static_cast<double>(n);
  return p;
}

inline std::vector<Prepared> adamw_cases() {
  std::vector<Prepared> cases;
  for (int64_t n : {0, 1, 3, 17, 255, 257, 65535, 65536, 65537, 200001}) {
    cases.push_back(adamw_case(n, 1, true));
    cases.push_back(adamw_case(n, 1000, false, 1.0 / 4096));
  }
  return cases;
}

}  // namespace strand::test
