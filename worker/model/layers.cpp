#include "worker/model/layers.h"

#include <algorithm>
#include <cstring>

#include "ops/cast/cast.h"
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

void linear_backward_input(const OpContext& context, const Weights& weights, const AffineSlots& slots, ConstMatrix d_y,
                           Matrix d_x) {
  matmul(context, {.a = d_y, .b = weights.matrix(slots.weight), .c = d_x});
}

void linear_backward_weight(const OpContext& context, const Gradients& gradients, const AffineSlots& slots,
                            ConstMatrix x, ConstMatrix d_y) {
  matmul(context, {.a = d_y, .b = x, .c = gradients.matrix(slots.weight), .transpose_a = true, .accumulate = true});
  if (slots.bias.present()) sum_rows(context, d_y, gradients.vector(slots.bias));
}

void linear_backward(const OpContext& context, const Weights& weights, const Gradients& gradients,
                     const AffineSlots& slots, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  linear_backward_weight(context, gradients, slots, x, d_y);
  linear_backward_input(context, weights, slots, d_y, d_x);
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

Rounded::Rounded(DType dtype, int64_t rows, int64_t cols) {
  if (dtype == DType::kBF16) copy_ = Buffer(dtype, rows, cols);
}

ConstMatrix Rounded::round(const OpContext& context, ConstMatrix x) const {
  if (copy_.rows() == 0) return x;
  const Matrix to = copy_.view(x.rows);
  STRAND_CHECK(x.stride == x.cols && to.cols == x.cols);
  cast(context, x.f32(), x.rows * x.cols, to.bf16());
  return to;
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

void scale_rows(const OpContext& context, const float* factors, Matrix x) {
  const int64_t rows_of_piece = std::max<int64_t>(1, kPiece / x.cols);
  float* data = x.f32();
  context.pool->run((x.rows + rows_of_piece - 1) / rows_of_piece, [&](int64_t piece, int) {
    const int64_t end = std::min((piece + 1) * rows_of_piece, x.rows);
    for (int64_t r = piece * rows_of_piece; r < end; ++r) {
      const float factor = factors[r];
      for (int64_t c = 0; c < x.cols; ++c) {
        float& value = data[r * x.stride + c];
        value = factor == 0 ? 0 : factor * value;
      }
    }
  });
}

void fill_zero(const OpContext& context, float* data, int64_t n) {
  context.pool->run((n + kPiece - 1) / kPiece, [&](int64_t piece, int) {
    const int64_t first = piece * kPiece;
    std::memset(data + first, 0, static_cast<size_t>(std::min(kPiece, n - first)) * sizeof(float));
  });
}

}  // namespace strand
