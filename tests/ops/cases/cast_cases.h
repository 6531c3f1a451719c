// The cases of ops/cast, for tests and benchmarks.
#pragma once

#include <string>
#include <vector>

#include "ops/cast/cast.h"
#include "tests/ops/tensors.h"

namespace strand::test {

// To bf16 and back again: tensors are [fp32 from, bf16, fp32 to].
inline Prepared cast_case(int64_t n) {
  Prepared p;
  p.name = concat("cast ", n);
  p.tensors = {random_tensor(1, DType::kF32, 1, n, 0, 1e3), Tensor(DType::kBF16, 1, n), Tensor(DType::kF32, 1, n)};
  p.run = [n](const OpContext& context, Tensors& t) {
    cast(context, t[0].f32(), n, t[1].matrix().bf16());
    cast(context, t[1].matrix().bf16(), n, t[2].f32());
  };
  p.relative = p.absolute = 0;
  p.bytes_moved = 12.0 * static_cast<double>(n);
  return p;
}

inline std::vector<Prepared> cast_cases() {
  std::vector<Prepared> cases;
  for (int64_t n : {0, 1, 3, 15, 16, 17, 255, 257, 65535, 65536, 65537, 200001}) cases.push_back(cast_case(n));
  return cases;
}

}  // namespace strand::test
