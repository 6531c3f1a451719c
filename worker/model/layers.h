// Linear layers and norms, forward and backward, as blocks and head use them: ops chosen by the configuration.
#pragma once

#include "ops/core/context.h"
#include "shared/job_spec/job_spec.h"
#include "worker/model/buffer.h"
#include "worker/model/layout.h"

namespace strand {

// y = x W^T (+ bias). x [rows, in], y [rows, out].
void linear_forward(const OpContext& context, const Weights& weights, const AffineSlots& slots, ConstMatrix x,
                    Matrix y);
// Backward, in two parts that know nothing of each other: d_x = d_y W, and what adds to the gradients of W and bias.
void linear_backward_input(const OpContext& context, const Weights& weights, const AffineSlots& slots, ConstMatrix d_y,
                           Matrix d_x);
void linear_backward_weight(const OpContext& context, const Gradients& gradients, const AffineSlots& slots,
                            ConstMatrix x, ConstMatrix d_y);
// Both.
void linear_backward(const OpContext& context, const Weights& weights, const Gradients& gradients,
                     const AffineSlots& slots, ConstMatrix x, ConstMatrix d_y, Matrix d_x);

// What a norm's backward needs of its forward: fp32 [rows] each; mean only for layer norm.
struct NormStatistics {
  Buffer mean, rstd;
};
NormStatistics make_norm_statistics(int64_t rows);

// x fp32 [rows, d]; y of the activations' type.
void norm_forward(const OpContext& context, const TransformerConfig& config, const Weights& weights,
                  const AffineSlots& slots, ConstMatrix x, Matrix y, const NormStatistics& statistics);
// d_x (fp32) += gradient through the norm; adds to the gradients of weight and bias.
void norm_backward(const OpContext& context, const TransformerConfig& config, const Weights& weights,
                   const Gradients& gradients, const AffineSlots& slots, ConstMatrix d_y, ConstMatrix x,
                   const NormStatistics& statistics, Matrix d_x);

// An fp32 matrix as matrix products want it: the matrix itself in fp32, a rounded copy in bf16.
class Rounded {
 public:
  Rounded() = default;
  Rounded(DType dtype, int64_t rows, int64_t cols);
  // x: fp32, without gaps between rows.
  ConstMatrix round(const OpContext& context, ConstMatrix x) const;
  // After round() of the same x.
  ConstMatrix kept(ConstMatrix x) const { return copy_.rows() == 0 ? x : copy_.view(x.rows); }

 private:
  Buffer copy_;
};

// to = from, both fp32 and without gaps between rows.
void copy(const OpContext& context, ConstMatrix from, Matrix to);
// Row r of x (fp32) *= factors[r]. A factor of 0 makes zeros of whatever stood there.
void scale_rows(const OpContext& context, const float* factors, Matrix x);
void fill_zero(const OpContext& context, float* data, int64_t n);

}  // namespace strand
