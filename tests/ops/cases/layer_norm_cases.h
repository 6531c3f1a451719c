// The cases of ops/layer_norm, for tests and benchmarks.
#pragma once

#include <string>
#include <vector>

#include "ops/layer_norm/layer_norm.h"
#include "tests/ops/tensors.h"

namespace strand::test {

struct NormShape {
  int64_t rows;
  int64_t cols;
  int64_t padding = 0;
  bool affine = true;
  DType dtype = DType::kF32;
  double scale = 1;
  double offset = 0;
};

// Tensors: x, weight, bias, y, mean, rstd. Backward: d_y, x, weight, mean, rstd, d_x, d_weight, d_bias.
inline Prepared layer_norm_case(bool backward, const NormShape& s) {
  constexpr float kEps = 1e-5f;
  Prepared p;
  p.name = shape_name(backward ? "layer_norm backward" : "layer_norm", s.rows, s.cols, s.padding, s.dtype) +
           concat(s.affine ? "" : " plain", " x ", s.scale, " + ", s.offset);
  const Tensor x = random_tensor(1, DType::kF32, s.rows, s.cols, s.padding, s.scale, s.offset);
  const Tensor weight = random_tensor(2, DType::kF32, 1, s.cols, 0, 0.5, 1);
  const Tensor bias = random_tensor(3, DType::kF32, 1, s.cols);
  Tensors forward = {x,
                     weight,
                     bias,
                     Tensor(s.dtype, s.rows, s.cols, s.padding),
                     Tensor(DType::kF32, 1, s.rows),
                     Tensor(DType::kF32, 1, s.rows)};
  const bool affine = s.affine;
  const Run run = [affine, kEps](const OpContext& context, Tensors& t) {
    layer_norm_forward(context, t[0].matrix(), affine ? t[1].f32() : nullptr, affine ? t[2].f32() : nullptr, kEps,
                       t[3].matrix(), t[4].f32(), t[5].f32());
  };
  const double element = static_cast<double>(dtype_size(s.dtype));
  const double count = static_cast<double>(s.rows * s.cols);
  // The mean is kept as fp32: half a unit of its last place, in units of the standard deviation.
  p.absolute = 4e-6 + 3e-7 * std::abs(s.offset) / s.scale;
  p.relative = 4e-6;
  if (!backward) {
    p.tensors = std::move(forward);
    p.run = run;
    p.bytes_moved = count * (4 + element);
    return p;
  }
  Machine machine(1, Backend::kReference);
  run(machine.context, forward);
  p.tensors = {random_tensor(4, s.dtype, s.rows, s.cols, s.padding),
               x,
               weight,
               forward[4],
               forward[5],
               random_tensor(5, DType::kF32, s.rows, s.cols, s.padding),
               random_tensor(6, DType::kF32, 1, s.cols),
               random_tensor(7, DType::kF32, 1, s.cols)};
  p.run = [affine](const OpContext& context, Tensors& t) {
    layer_norm_backward(context, t[0].matrix(), t[1].matrix(), affine ? t[2].f32() : nullptr, t[3].f32(), t[4].f32(),
                        t[5].matrix(), affine ? t[6].f32() : nullptr, affine ? t[7].f32() : nullptr);
  };
  p.absolute += 1e-6 * std::sqrt(static_cast<double>(s.rows)) + 2e-6 / s.scale;
  p.bytes_moved = count * (12 + element);
  return p;
}

inline std::vector<Prepared> layer_norm_cases() {
  std::vector<Prepared> cases;
  for (bool backward : {false, true}) {
    for (DType dtype : {DType::kF32, DType::kBF16}) {
      for (bool affine : {true, false}) {
        for (int64_t cols : {1, 3, 17, 255, 256, 257, 1024}) {
          cases.push_back(layer_norm_case(backward, {21, cols, 0, affine, dtype}));
        }
        cases.push_back(layer_norm_case(backward, {0, 8, 0, affine, dtype}));
        cases.push_back(layer_norm_case(backward, {777, 96, 5, affine, dtype}));
      }
      cases.push_back(layer_norm_case(backward, {40, 136, 0, true, dtype, 1, 1e4}));
      cases.push_back(layer_norm_case(backward, {40, 136, 0, true, dtype, 1e4, 0}));
    }
  }
  return cases;
}

}  // namespace strand::test
