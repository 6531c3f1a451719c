// The cases of ops/dropout, for tests and benchmarks.
#pragma once

#include <string>
#include <vector>

#include "ops/dropout/dropout.h"
#include "tests/ops/tensors.h"

namespace strand::test {

struct DropoutShape {
  int64_t batch;
  int64_t sequence;
  int64_t cols;
  int64_t padding = 0;
  DType dtype = DType::kF32;
  float probability = 0.1f;
};

// Tensors: x.
inline Prepared dropout_case(const DropoutShape& s) {
  Prepared p;
  p.name = shape_name("dropout", s.batch * s.sequence, s.cols, s.padding, s.dtype) + concat(" p ", s.probability);
  p.tensors = {random_tensor(1, s.dtype, s.batch * s.sequence, s.cols, s.padding)};
  p.run = [s](const OpContext& context, Tensors& t) {
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < s.batch; ++i) rows.push_back((int64_t{1} << 33) + 7 * i);  // both words of the row number
    dropout(context,
            {.probability = s.probability,
             .key = philox_key(kSeed, Purpose::kResidualDropout),
             .row_numbers = rows.data(),
             .sequence = s.sequence,
             .layer = 5},
            t[0].matrix());
  };
  p.relative = 2e-7;
  p.absolute = 0;
  p.bytes_moved = 2.0 * static_cast<double>(dtype_size(s.dtype) * static_cast<size_t>(s.batch * s.sequence * s.cols));
  return p;
}

inline std::vector<Prepared> dropout_cases() {
  std::vector<Prepared> cases;
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    for (int64_t cols : {1, 3, 17, 255, 256, 257, 513, 1100}) cases.push_back(dropout_case({3, 5, cols, 0, dtype}));
    cases.push_back(dropout_case({0, 5, 8, 0, dtype}));
    cases.push_back(dropout_case({2, 300, 129, 6, dtype, 0.5f}));
    cases.push_back(dropout_case({2, 3, 40, 0, dtype, 0.0f}));
    cases.push_back(dropout_case({2, 3, 40, 0, dtype, 0.999f}));
  }
  return cases;
}

}  // namespace strand::test
