// The cases of ops/pooling, for tests and benchmarks.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "ops/pooling/pooling.h"
#include "tests/ops/tensors.h"

namespace strand::test {

constexpr PoolingKind kPoolingKinds[] = {PoolingKind::kCls, PoolingKind::kMean, PoolingKind::kMax, PoolingKind::kLast};

inline const char* pooling_name(PoolingKind kind) {
  switch (kind) {
    case PoolingKind::kCls: return "cls";
    case PoolingKind::kMean: return "mean";
    case PoolingKind::kMax: return "max";
    case PoolingKind::kLast: return "last";
  }
  return "";
}

struct PoolingCase {
  PoolingKind kind;
  int64_t rows;
  int64_t segment;
  int64_t cols;
  int64_t padding = 0;
  DType dtype = DType::kF32;
  std::vector<int32_t> begin = {}, end = {};  // empty: all tokens
  bool ties = false;                          // values in steps of 1/4, so that maxima are often equal
};

inline PoolingShape pooling_shape(const PoolingCase& c) {
  return {c.kind, c.rows, c.segment, c.begin.empty() ? nullptr : c.begin.data(),
          c.end.empty() ? nullptr : c.end.data()};
}

// Tensors: hidden, pooled, d_pooled, d_hidden (added to).
inline Prepared pooling_case(bool backward, const PoolingCase& c) {
  Prepared p;
  p.name = shape_name(concat("pooling ", pooling_name(c.kind), backward ? " backward" : ""), c.rows * c.segment, c.cols,
                      c.padding, c.dtype) +
           concat(" segment ", c.segment, c.end.empty() ? "" : " masked", c.ties ? " ties" : "");
  const int64_t tokens = c.rows * c.segment;
  Tensor hidden = random_tensor(1, c.dtype, tokens, c.cols, c.padding);
  for (int64_t r = 0; c.ties && r < tokens; ++r) {
    for (int64_t i = 0; i < c.cols; ++i) hidden.put(r, i, std::round(4 * hidden.at(r, i)) / 4);
  }
  p.tensors = {hidden, Tensor(DType::kF32, c.rows, c.cols, c.padding),
               random_tensor(2, DType::kF32, c.rows, c.cols, c.padding),
               random_tensor(3, c.dtype, tokens, c.cols, c.padding)};
  const double element = static_cast<double>(dtype_size(c.dtype));
  if (backward) {
    p.run = [c](const OpContext& context, Tensors& t) {
      pooling_backward(context, pooling_shape(c), t[0].matrix(), t[2].matrix(), t[3].matrix());
    };
    p.bytes_moved = (c.kind == PoolingKind::kMax ? 1 : 2) * element * static_cast<double>(tokens * c.cols);
  } else {
    p.run = [c](const OpContext& context, Tensors& t) {
      pooling_forward(context, pooling_shape(c), t[0].matrix(), t[1].matrix());
    };
    p.bytes_moved = element * static_cast<double>(tokens * c.cols);
  }
  p.relative = 2e-7;
  p.absolute = c.kind == PoolingKind::kMean ? 1e-6 : 1e-7;
  return p;
}

inline std::vector<Prepared> pooling_cases() {
  std::vector<Prepared> cases;
  for (bool backward : {false, true}) {
    for (DType dtype : {DType::kF32, DType::kBF16}) {
      for (PoolingKind kind : kPoolingKinds) {
        for (int64_t cols : {1, 3, 17, 255, 256, 257, 1024}) {
          cases.push_back(pooling_case(backward, {kind, 3, 7, cols, 0, dtype, {}, {7, 4, 1}}));
        }
        // Special tokens left out; a row without tokens, and one all of whose tokens are left out.
        cases.push_back(pooling_case(backward, {kind, 5, 9, 40, 5, dtype, {1, 1, 0, 0, 2}, {8, 9, 0, 1, 2}}));
        cases.push_back(pooling_case(backward, {kind, 4, 6, 70, 0, dtype, {}, {}, true}));
        cases.push_back(pooling_case(backward, {kind, 2, 1100, 33, 3, dtype, {}, {1100, 513}, true}));
        cases.push_back(pooling_case(backward, {kind, 0, 6, 8, 0, dtype}));
        cases.push_back(pooling_case(backward, {kind, 3, 1, 8, 0, dtype}));
      }
    }
  }
  return cases;
}

}  // namespace strand::test
