// The cases of ops/attention, for tests and benchmarks.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "ops/attention/attention.h"
#include "tests/ops/tensors.h"

namespace strand::test {

struct AttentionCase {
  int64_t batch = 1, sequence = 1, heads = 1, head_size = 1;
  bool causal = true;
  std::vector<int32_t> lengths;    // empty: no padding mask
  double logits = 1;               // size of the elements of q: large ones give huge scores
  std::vector<float> slopes = {};  // empty: no bias; else one a head
};

// DNABERT-2's slopes for its 12 heads: those of 8 heads, then every second of those of 16 (Press et al., 2022).
inline std::vector<float> slopes_of_12_heads() {
  std::vector<float> slopes;
  for (int i = 1; i <= 8; ++i) slopes.push_back(std::exp2(static_cast<float>(-i)));
  for (int i = 0; i < 4; ++i) slopes.push_back(std::exp2(-0.5f - static_cast<float>(i)));
  return slopes;
}

enum AttentionTensor { kQkv, kOut, kLse, kDOut, kDQkv };

inline AttentionShape attention_shape(const AttentionCase& c) {
  AttentionShape shape{c.batch, c.sequence, c.heads, c.head_size, c.causal};
  shape.scale = 1 / std::sqrt(static_cast<float>(c.head_size));
  shape.lengths = c.lengths.empty() ? nullptr : c.lengths.data();
  shape.slopes = c.slopes.empty() ? nullptr : c.slopes.data();
  return shape;
}

inline void attention_run_forward(const OpContext& context, const AttentionCase& c, Tensors& t) {
  const int64_t d = c.heads * c.head_size;
  const ConstMatrix qkv = t[kQkv].matrix();
  attention_forward(context, attention_shape(c), qkv.columns(0, d), qkv.columns(d, d), qkv.columns(2 * d, d),
                    t[kOut].matrix(), t[kLse].f32());
}

inline void attention_run_backward(const OpContext& context, const AttentionCase& c, Tensors& t) {
  const int64_t d = c.heads * c.head_size;
  const ConstMatrix qkv = t[kQkv].matrix();
  const Matrix d_qkv = t[kDQkv].matrix();
  attention_backward(context, attention_shape(c), qkv.columns(0, d), qkv.columns(d, d), qkv.columns(2 * d, d),
                     t[kOut].matrix(), t[kLse].f32(), t[kDOut].matrix(), d_qkv.columns(0, d), d_qkv.columns(d, d),
                     d_qkv.columns(2 * d, d));
}

// q, k and v are views of one matrix, as in the model; `padding` more columns lie behind them. Forward, then backward.
inline Prepared attention_case(const AttentionCase& c, DType dtype, int64_t padding = 0) {
  Prepared p;
  p.name = concat("attention ", c.batch, "x", c.sequence, " heads ", c.heads, "x", c.head_size,
                  c.causal ? " causal" : " full", c.lengths.empty() ? "" : " masked", c.slopes.empty() ? "" : " biased",
                  " logits ", c.logits, " ", dtype_name(dtype));
  const int64_t tokens = c.batch * c.sequence;
  const int64_t d = c.heads * c.head_size;
  Tensor qkv = random_tensor(1, dtype, tokens, 3 * d, padding);
  for (int64_t r = 0; r < tokens; ++r) {
    for (int64_t i = 0; i < d; ++i) qkv.put(r, i, qkv.at(r, i) * c.logits);
  }
  p.tensors = {qkv, Tensor(dtype, tokens, d, padding), Tensor(DType::kF32, 1, c.batch * c.heads * c.sequence),
               random_tensor(2, dtype, tokens, d, padding), Tensor(dtype, tokens, 3 * d, padding)};
  p.run = [c](const OpContext& context, Tensors& t) {
    attention_run_forward(context, c, t);
    attention_run_backward(context, c, t);
  };
  // A score of size s is rounded by s * 6e-8, and its exponential by that much relatively.
  double score = c.logits * std::sqrt(static_cast<double>(c.head_size));
  double steepest = 0;
  for (const float slope : c.slopes) steepest = std::max(steepest, std::abs(static_cast<double>(slope)));
  score += steepest * static_cast<double>(c.sequence);
  p.relative = 4e-6 + 5e-7 * score;
  p.absolute = (4e-6 + 5e-7 * score) * (1 + c.logits);
  // The backward pass starts from the stored, rounded output: d_out . out is off by the rounding of each element.
  if (dtype == DType::kBF16) p.absolute += 4e-3 * (1 + c.logits);
  return p;
}

inline std::vector<AttentionCase> attention_shapes() {
  std::vector<AttentionCase> shapes;
  for (bool causal : {true, false}) {
    for (int64_t head_size : {1, 5, 16, 32, 48, 96, 136}) shapes.push_back({2, 67, 3, head_size, causal, {}, 1});
    for (int64_t sequence : {1, 2, 15, 63, 64, 65, 300}) shapes.push_back({2, sequence, 2, 24, causal, {}, 1});
    shapes.push_back({4, 70, 2, 32, causal, {70, 0, 1, 65}, 1});  // a row all masked, a row with one key
    shapes.push_back({2, 70, 2, 32, causal, {}, 3000});
    shapes.push_back({0, 10, 2, 32, causal, {}, 1});
    for (int64_t sequence : {1, 37, 67}) shapes.push_back({2, sequence, 12, 64, causal, {}, 1, slopes_of_12_heads()});
    shapes.push_back({3, 131, 12, 8, causal, {131, 1, 65}, 1, slopes_of_12_heads()});
    shapes.push_back({2, 65, 2, 136, causal, {}, 1, {0.25f, 0.0f}});
    shapes.push_back({2, 300, 2, 24, causal, {300, 9}, 1, {0.5f, 0.0625f}});  // queries far from every key
  }
  return shapes;
}

inline std::vector<Prepared> attention_cases() {
  std::vector<Prepared> cases;
  for (const AttentionCase& c : attention_shapes()) {
    cases.push_back(attention_case(c, DType::kF32, 3));
    cases.push_back(attention_case(c, DType::kBF16));
  }
  return cases;
}

}  // namespace strand::test
