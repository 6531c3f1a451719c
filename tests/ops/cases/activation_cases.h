// The cases of ops/activation, for tests and benchmarks.
#pragma once

#include <string>
#include <vector>

#include "ops/activation/activation.h"
#include "tests/ops/tensors.h"

namespace strand::test {

constexpr Activation kActivations[] = {Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kTanh};

inline const char* activation_name(Activation f) {
  switch (f) {
    case Activation::kGelu: return "gelu";
    case Activation::kGeluTanh: return "gelu tanh";
    case Activation::kRelu: return "relu";
    case Activation::kTanh: return "tanh";
  }
  return "";
}

// Tensors: x, y, d_y, d_x.
inline Prepared activation_case(Activation f, bool backward, int64_t rows, int64_t cols, int64_t padding, DType dtype,
                                double scale = 6) {
  Prepared p;
  p.name = shape_name(concat(activation_name(f), backward ? " backward" : ""), rows, cols, padding, dtype) +
           concat(" x ", scale);
  p.tensors = {random_tensor(1, dtype, rows, cols, padding, scale), Tensor(dtype, rows, cols, padding),
               random_tensor(2, dtype, rows, cols, padding), Tensor(dtype, rows, cols, padding)};
  const double element = static_cast<double>(dtype_size(dtype));
  if (backward) {
    p.run = [f](const OpContext& context, Tensors& t) {
      activation_backward(context, f, t[0].matrix(), t[2].matrix(), t[3].matrix());
    };
    p.bytes_moved = 3 * element * static_cast<double>(rows * cols);
  } else {
    p.run = [f](const OpContext& context, Tensors& t) { activation_forward(context, f, t[0].matrix(), t[1].matrix()); };
    p.bytes_moved = 2 * element * static_cast<double>(rows * cols);
  }
  // The derivative of the tanh form multiplies three rounded factors.
  p.relative = p.absolute = backward && f == Activation::kGeluTanh ? 1.5e-6 : 5e-7;
  return p;
}

inline std::vector<Prepared> activation_cases() {
  std::vector<Prepared> cases;
  for (Activation f : kActivations) {
    for (bool backward : {false, true}) {
      for (DType dtype : {DType::kF32, DType::kBF16}) {
        for (int64_t cols : {1, 3, 17, 255, 257}) cases.push_back(activation_case(f, backward, 13, cols, 0, dtype));
        cases.push_back(activation_case(f, backward, 0, 8, 0, dtype));
        cases.push_back(activation_case(f, backward, 600, 130, 7, dtype));
        cases.push_back(activation_case(f, backward, 9, 64, 0, dtype, 1e4));
        cases.push_back(activation_case(f, backward, 9, 64, 0, dtype, 1e30));
      }
    }
  }
  return cases;
}

}  // namespace strand::test
