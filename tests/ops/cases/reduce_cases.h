// The cases of ops/reduce, for tests and benchmarks.
#pragma once

#include <string>
#include <vector>

#include "ops/reduce/reduce.h"
#include "tests/ops/tensors.h"

namespace strand::test {

// Tensors: x, out.
inline Prepared sum_rows_case(int64_t rows, int64_t cols, int64_t padding, DType dtype) {
  Prepared p;
  p.name = shape_name("sum_rows", rows, cols, padding, dtype);
  p.tensors = {random_tensor(1, dtype, rows, cols, padding), random_tensor(2, DType::kF32, 1, cols)};
  p.run = [](const OpContext& context, Tensors& t) { sum_rows(context, t[0].matrix(), t[1].f32()); };
  p.absolute = 6e-7 * std::sqrt(static_cast<double>(rows + 1));
  p.bytes_moved = static_cast<double>(dtype_size(dtype)) * static_cast<double>(rows * cols);
  return p;
}

// Tensors: x, partials as floats.
inline Prepared sum_squares_case(int64_t n) {
  Prepared p;
  p.name = concat("sum_squares_by_block ", n);
  const int64_t blocks = (n + kBlockElements - 1) / kBlockElements;
  p.tensors = {random_tensor(1, DType::kF32, 1, n), Tensor(DType::kF32, 1, blocks)};
  p.run = [n, blocks](const OpContext& context, Tensors& t) {
    std::vector<double> partial(static_cast<size_t>(blocks));
    sum_squares_by_block(context, t[0].f32(), n, partial.data());
    for (int64_t i = 0; i < blocks; ++i) t[1].put(0, i, partial[static_cast<size_t>(i)]);
  };
  p.relative = 1e-7;  // of the float the test keeps it in
  p.absolute = 0;
  p.bytes_moved = 4.0 * static_cast<double>(n);
  return p;
}

// Tensors: from, into.
inline Prepared add_case(int64_t n) {
  Prepared p;
  p.name = concat("add ", n);
  p.tensors = {random_tensor(1, DType::kF32, 1, n), random_tensor(2, DType::kF32, 1, n)};
  p.run = [n](const OpContext& context, Tensors& t) { add(context, t[0].f32(), n, t[1].f32()); };
  p.relative = p.absolute = 0;
  p.bytes_moved = 12.0 * static_cast<double>(n);
  return p;
}

inline std::vector<Prepared> reduce_cases() {
  std::vector<Prepared> cases;
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    for (int64_t cols : {1, 3, 17, 255, 256, 257}) cases.push_back(sum_rows_case(70, cols, 0, dtype));
    for (int64_t rows : {0, 1, 255, 256, 257, 2051}) cases.push_back(sum_rows_case(rows, 33, 2, dtype));
  }
  for (int64_t n : {0, 1, 17, 65535, 65536, 65537, 300000}) {
    cases.push_back(sum_squares_case(n));
    cases.push_back(add_case(n));
  }
  return cases;
}

}  // namespace strand::test
