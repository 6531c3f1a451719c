// The cases of ops/residual, for tests and benchmarks.
#pragma once

#include <string>
#include <vector>

#include "ops/residual/residual.h"
#include "tests/ops/tensors.h"

namespace strand::test {

// Tensors: y, x.
inline Prepared residual_case(int64_t rows, int64_t cols, int64_t padding, DType dtype) {
  Prepared p;
  p.name = shape_name("residual", rows, cols, padding, dtype);
  p.tensors = {random_tensor(1, dtype, rows, cols, padding), random_tensor(2, DType::kF32, rows, cols, 2 * padding)};
  p.run = [](const OpContext& context, Tensors& t) { residual_add(context, t[0].matrix(), t[1].matrix()); };
  p.relative = 1e-7;
  p.absolute = 0;
  p.bytes_moved = static_cast<double>(rows * cols) * (8.0 + static_cast<double>(dtype_size(dtype)));
  return p;
}

inline std::vector<Prepared> residual_cases() {
  std::vector<Prepared> cases;
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    for (int64_t cols : {1, 3, 17, 255, 256, 257}) cases.push_back(residual_case(19, cols, 0, dtype));
    cases.push_back(residual_case(0, 8, 0, dtype));
    cases.push_back(residual_case(1000, 300, 5, dtype));
  }
  return cases;
}

}  // namespace strand::test
