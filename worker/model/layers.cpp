#include "worker/model/layers.h"

#include <algorithm>
#include <cstring>

#include "ops/layer_norm/layer_norm.h"
#include "ops/matmul/matmul.h"
#include "ops/reduce/reduce.h"
#include "ops/rms_norm/rms_norm.h"

namespace strand {

void linear_forward(const OpContext& context, const Weights& weights, const AffineSlots& slots, ConstMatrix x,
                    Matrix y) {
  matmul(context,
         {.a = x, .b = weights.matrix(slots.weight), .c = y, .transpose_b = true, .bias = weights.vector(slots.bias)});
}

void linear_backward(const OpContext& context, const Weights& weights, const Gradients& gradients,
                     const AffineSlots& slots, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  matmul(context, {.a = d_y, .b = x, .c = gradients.matrix(slots.weight), .transpose_a = true, .accumulate = true});
  if (slots.bias.present()) sum_rows(context, d_y, gradients.vector(slots.bias));
  matmul(context, {.a = d_y, .b = weights.matrix(slots.weight), .c = d_x});
}

NormStatistics make_norm_statistics(int64_t rows) {
  return {Buffer(DType::kF32, rows, 1), Buffer(DType::kF32, rows, 1)};
}

void norm_forward(const OpContext& context, const TransformerConfig& config, const Weights& weights,
                  const AffineSlots& slots, ConstMatrix x, Matrix y, const NormStatistics& statistics) {
  const float* weight = weights.vector(slots.weight);
  if (config.norm == NormKind::kRms) {
    rms_norm_forward(context, x, weight, config.norm_eps, y, statistics.rstd.f32());
  } else {
    layer_norm_forward(context, x, weight, weights.vector(slots.bias), config.norm_eps, y, statistics.mean.f32(),
                       statistics.rstd.f32());
  }
}

void norm_backward(const OpContext& context, const TransformerConfig& config, const Weights& weights,
                   const Gradients& gradients, const AffineSlots& slots, ConstMatrix d_y, ConstMatrix x,
                   const NormStatistics& statistics, Matrix d_x) {
  const float* weight = weights.vector(slots.weight);
  if (config.norm == NormKind::kRms) {
    rms_norm_backward(context, d_y, x, weight, statistics.rstd.f32(), d_x, gradients.vector(slots.weight));
  } else {
    layer_norm_backward(context, d_y, x, weight, statistics.mean.f32(), statistics.rstd.f32(), d_x,
                        gradients.vector(slots.weight), gradients.vector(slots.bias));
  }
}

// Large enough to hide a task's overhead, small enough to spread over threads.
constexpr int64_t kPiece = 65536;

void copy(const OpContext& context, ConstMatrix from, Matrix to) {
  STRAND_CHECK(from.stride == from.cols && to.stride == to.cols && from.rows == to.rows && from.cols == to.cols);
  const int64_t n = from.rows * from.cols;
  const float* source = from.f32();
  float* target = to.f32();
  context.pool->run((n + kPiece - 1) / kPiece, [&](int64_t piece, int) {
    const int64_t first = piece * kPiece;
    std::memcpy(target + first, source + first, static_cast<size_t>(std::min(kPiece, n - first)) * sizeof(float));
  });
}

void fill_zero(const OpContext& context, float* data, int64_t n) {
  context.pool->run((n + kPiece - 1) / kPiece, [&](int64_t piece, int) {
    const int64_t first = piece * kPiece;
    std::memset(data + first, 0, static_cast<size_t>(std::min(kPiece, n - first)) * sizeof(float));
  });
}

}  // namespace strand
