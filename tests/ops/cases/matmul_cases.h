// The cases of ops/matmul, for tests and benchmarks.
#pragma once

#include <string>
#include <vector>

#include "ops/matmul/matmul.h"
#include "tests/ops/tensors.h"

namespace strand::test {

struct MatmulShape {
  int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  bool accumulate = false, bias = false;
  int64_t padding = 0;
};

// Tensors: a, b, c, bias [1, n].
inline Prepared matmul_case(const MatmulShape& s, DType inputs, DType output) {
  Prepared p;
  p.name = concat("matmul ", s.m, "x", s.n, "x", s.k, s.transpose_a ? " T" : " N", s.transpose_b ? "T" : "N",
                  s.accumulate ? " accumulated" : "", s.bias ? " bias" : "", s.padding > 0 ? " strided" : "", " ",
                  dtype_name(inputs), " to ", dtype_name(output));
  p.tensors = {random_tensor(1, inputs, s.transpose_a ? s.k : s.m, s.transpose_a ? s.m : s.k, s.padding),
               random_tensor(2, inputs, s.transpose_b ? s.n : s.k, s.transpose_b ? s.k : s.n, s.padding),
               random_tensor(3, output, s.m, s.n, s.padding), random_tensor(4, DType::kF32, 1, s.n)};
  p.run = [s](const OpContext& context, Tensors& t) {
    MatmulArgs args;
    args.a = t[0].matrix();
    args.b = t[1].matrix();
    args.c = t[2].matrix();
    args.transpose_a = s.transpose_a;
    args.transpose_b = s.transpose_b;
    args.accumulate = s.accumulate;
    args.bias = s.bias ? t[3].f32() : nullptr;
    matmul(context, args);
  };
  // Sums of k products of numbers below 1, in fp32: k half-ulps of the running sum, which is near sqrt(k) / 3.
  p.absolute = 2e-7 * (1 + std::sqrt(static_cast<double>(s.k))) * 4;
  return p;
}

inline std::vector<MatmulShape> matmul_shapes() {
  std::vector<MatmulShape> shapes;
  for (bool ta : {false, true}) {
    for (bool tb : {false, true}) {
      for (int64_t padding : {0, 5}) {
        shapes.push_back({1, 1, 1, ta, tb, false, false, padding});
        shapes.push_back({1, 37, 19, ta, tb, false, true, padding});
        shapes.push_back({53, 1, 31, ta, tb, true, false, padding});
        shapes.push_back({65, 47, 1, ta, tb, true, false, padding});
        shapes.push_back({17, 129, 257, ta, tb, false, true, padding});
        shapes.push_back({300, 270, 65, ta, tb, false, false, padding});
        shapes.push_back({130, 515, 64, ta, tb, true, false, padding});
      }
    }
  }
  shapes.push_back({0, 8, 8});
  shapes.push_back({8, 0, 8});
  shapes.push_back({5, 8, 0, false, false, true});
  shapes.push_back({5, 8, 0, false, true, false, true});
  shapes.push_back({16, 24, 9001, false, true});
  shapes.push_back({16, 24, 9001, true, false, true});  // a sum in many chunks
  return shapes;
}

inline std::vector<Prepared> matmul_cases() {
  std::vector<Prepared> cases;
  for (const MatmulShape& shape : matmul_shapes()) {
    cases.push_back(matmul_case(shape, DType::kF32, DType::kF32));
    cases.push_back(matmul_case(shape, DType::kBF16, DType::kF32));
    if (!shape.accumulate) cases.push_back(matmul_case(shape, DType::kBF16, DType::kBF16));
  }
  return cases;
}

}  // namespace strand::test
