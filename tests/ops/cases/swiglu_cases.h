// The cases of ops/swiglu, for tests and benchmarks, written for any gated linear unit.
#pragma once

#include <string>
#include <vector>

#include "ops/swiglu/swiglu.h"
#include "tests/ops/tensors.h"

namespace strand::test {

struct GatedOp {
  const char* name;
  void (*forward)(const OpContext&, ConstMatrix, Matrix);
  void (*backward)(const OpContext&, ConstMatrix, ConstMatrix, Matrix);
};
inline constexpr GatedOp kSwiGlu{"swiglu", swiglu_forward, swiglu_backward};

// Tensors: x, y, d_y, d_x. `scale` sets the size of x: beyond 88 the exponential of a plain sigmoid overflows.
inline Prepared gated_case(const GatedOp& op, bool backward, int64_t rows, int64_t h, int64_t padding, DType dtype,
                           double scale = 4) {
  Prepared p;
  p.name = shape_name(concat(op.name, backward ? " backward" : ""), rows, h, padding, dtype) + concat(" x ", scale);
  p.tensors = {random_tensor(1, dtype, rows, 2 * h, padding, scale), Tensor(dtype, rows, h, padding),
               random_tensor(2, dtype, rows, h, padding), Tensor(dtype, rows, 2 * h, padding)};
  const double element = static_cast<double>(dtype_size(dtype));
  if (backward) {
    p.run = [op](const OpContext& context, Tensors& t) {
      op.backward(context, t[0].matrix(), t[2].matrix(), t[3].matrix());
    };
    p.bytes_moved = 5 * element * static_cast<double>(rows * h);
  } else {
    p.run = [op](const OpContext& context, Tensors& t) { op.forward(context, t[0].matrix(), t[1].matrix()); };
    p.bytes_moved = 3 * element * static_cast<double>(rows * h);
  }
  p.absolute = 1e-6 * scale;
  return p;
}

inline std::vector<Prepared> gated_cases(const GatedOp& op) {
  std::vector<Prepared> cases;
  for (bool backward : {false, true}) {
    for (DType dtype : {DType::kF32, DType::kBF16}) {
      for (int64_t h : {1, 3, 17, 255, 256, 257}) cases.push_back(gated_case(op, backward, 11, h, 0, dtype));
      cases.push_back(gated_case(op, backward, 0, 8, 0, dtype));
      cases.push_back(gated_case(op, backward, 700, 160, 3, dtype));
      cases.push_back(gated_case(op, backward, 9, 40, 0, dtype, 1e4));
    }
  }
  return cases;
}

inline std::vector<Prepared> swiglu_cases() {
  return gated_cases(kSwiGlu);
}

}  // namespace strand::test
