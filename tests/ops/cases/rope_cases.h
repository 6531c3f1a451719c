// The cases of ops/rope, for tests and benchmarks.
#pragma once

#include <string>
#include <vector>

#include "ops/rope/rope.h"
#include "tests/ops/tensors.h"

namespace strand::test {

struct RopeShape {
  int64_t rows;
  int64_t sequence;
  int64_t heads;
  int64_t head_size;
  int64_t padding = 0;
  DType dtype = DType::kF32;
  bool inverse = false;
};

// Tensors: x.
inline Prepared rope_case(const RopeShape& s) {
  Prepared p;
  p.name = shape_name("rope", s.rows, s.heads * s.head_size, s.padding, s.dtype) +
           concat(" sequence ", s.sequence, " heads ", s.heads, s.inverse ? " inverse" : "");
  p.tensors = {random_tensor(1, s.dtype, s.rows, s.heads * s.head_size, s.padding)};
  p.run = [s](const OpContext& context, Tensors& t) {
    rope(context, t[0].matrix(), s.sequence, s.heads, s.head_size, 10000.0f, s.inverse);
  };
  p.relative = 1e-6;
  p.absolute = 5e-7;
  p.bytes_moved = 2.0 * static_cast<double>(dtype_size(s.dtype) * static_cast<size_t>(s.rows * s.heads * s.head_size));
  return p;
}

inline std::vector<Prepared> rope_cases() {
  std::vector<Prepared> cases;
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    for (bool inverse : {false, true}) {
      for (int64_t head_size : {2, 6, 32, 34, 48, 96, 136}) {
        cases.push_back(rope_case({40, 10, 3, head_size, 0, dtype, inverse}));
      }
    }
    cases.push_back(rope_case({0, 10, 1, 8, 0, dtype}));
    cases.push_back(rope_case({7, 1, 2, 8, 0, dtype}));          // every row at position 0
    cases.push_back(rope_case({5, 100, 2, 8, 0, dtype}));        // fewer rows than positions
    cases.push_back(rope_case({2100, 2100, 1, 64, 3, dtype}));   // large angles
    cases.push_back(rope_case({33000, 33000, 1, 2, 0, dtype}));  // past the vectorised sine
  }
  return cases;
}

}  // namespace strand::test
