// The cases of ops/bce, for tests and benchmarks, written for any loss between predictions and labels.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "ops/bce/bce.h"
#include "tests/ops/tensors.h"

namespace strand::test {

struct LabelLossOp {
  const char* name;
  LossSum (*run)(const OpContext&, Matrix, ConstMatrix, bool);
  bool binary;  // labels 0 and 1, and some between; else any
};
inline constexpr LabelLossOp kBce{"bce", bce, true};

struct LabelLossShape {
  int64_t rows;
  int64_t labels;
  int64_t padding = 0;
  bool gradient = true;
  double scale = 5;
  int64_t ignored = 3;  // every how manyth label is NaN; 0: none
};

inline Tensor labels_of(const LabelLossOp& op, const LabelLossShape& s) {
  Tensor labels = random_tensor(97, DType::kF32, s.rows, s.labels, s.padding, s.scale);
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int64_t c = 0; c < s.labels; ++c) {
      const int64_t i = r * s.labels + c;
      // One label in five is soft.
      const double drawn = labels.at(r, c) / s.scale;
      if (op.binary) labels.put(r, c, i % 5 == 4 ? (drawn + 1) / 2 : (drawn > 0 ? 1 : 0));
      if (s.ignored > 0 && i % s.ignored == s.ignored - 1) {
        labels.put(r, c, std::numeric_limits<double>::quiet_NaN());
      }
    }
  }
  return labels;
}

// Tensors: predictions, [loss, number of targets].
inline Prepared label_loss_case(const LabelLossOp& op, const LabelLossShape& s) {
  Prepared p;
  p.name = shape_name(op.name, s.rows, s.labels, s.padding, DType::kF32) +
           concat(" x ", s.scale, " ignored ", s.ignored, s.gradient ? " gradient" : "");
  p.tensors = {random_tensor(1, DType::kF32, s.rows, s.labels, s.padding, s.scale), Tensor(DType::kF32, 1, 2)};
  const Tensor labels = labels_of(op, s);
  p.run = [op, labels, s](const OpContext& context, Tensors& t) {
    const LossSum sum = op.run(context, t[0].matrix(), labels.matrix(), s.gradient);
    t[1].put(0, 0, sum.loss);
    t[1].put(0, 1, static_cast<double>(sum.targets));
  };
  p.relative = 1e-6;
  p.absolute = 2e-7;
  p.bytes_moved = (s.gradient ? 12.0 : 8.0) * static_cast<double>(s.rows * s.labels);
  return p;
}

inline std::vector<Prepared> label_loss_cases(const LabelLossOp& op) {
  std::vector<Prepared> cases;
  for (bool gradient : {true, false}) {
    for (int64_t labels : {1, 2, 3, 16, 17, 104, 257, 919}) {
      cases.push_back(label_loss_case(op, {23, labels, 0, gradient}));
    }
    cases.push_back(label_loss_case(op, {0, 8, 0, gradient}));
    cases.push_back(label_loss_case(op, {3000, 33, 4, gradient, 5, 0}));
    cases.push_back(label_loss_case(op, {20, 9, 0, gradient, 5, 1}));  // nothing counted
    cases.push_back(label_loss_case(op, {60, 100, 0, gradient, 1e4}));
  }
  return cases;
}

inline std::vector<Prepared> bce_cases() {
  return label_loss_cases(kBce);
}

}  // namespace strand::test
