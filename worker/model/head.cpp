#include "worker/model/head.h"

#include <algorithm>

#include "ops/activation/activation.h"
#include "ops/matmul/matmul.h"
#include "ops/reduce/reduce.h"

namespace strand {

int64_t head_chunk_rows(int64_t vocabulary, int64_t tokens) {
  constexpr int64_t kLogits = int64_t{4} << 20;  // 16 MiB of fp32
  const int64_t rows = std::max<int64_t>(kLogits / vocabulary / 256 * 256, 256);
  return std::min(rows, tokens);
}

TokenHead::TokenHead(const TransformerConfig& config, const HeadSlots& slots, DType dtype, int64_t rows)
    : config_(config), slots_(slots), d_logits_a_(dtype, rows, config.vocabulary) {
  const int64_t d = config.hidden, e = config.embedding_size();
  if (slots.transform.weight.present()) {
    for (Buffer* buffer : {&linear_, &gelu_, &d_gelu_, &d_linear_}) *buffer = Buffer(DType::kF32, rows, d);
    for (Buffer* buffer : {&z_, &d_z_}) *buffer = Buffer(dtype, rows, d);
    d_linear_a_ = Rounded(dtype, rows, d);
    statistics_ = make_norm_statistics(rows);
  }
  if (slots.project_out.present()) {
    for (Buffer* buffer : {&projected_, &d_projected_}) *buffer = Buffer(dtype, rows, e);
  }
}

ConstMatrix TokenHead::transformed(ConstMatrix hidden) const {
  return slots_.transform.weight.present() ? z_.view(hidden.rows) : hidden;
}
ConstMatrix TokenHead::projected(ConstMatrix hidden) const {
  return slots_.project_out.present() ? projected_.view(hidden.rows) : transformed(hidden);
}

void TokenHead::forward(const OpContext& context, const Weights& weights, ConstMatrix hidden, Matrix logits) {
  const int64_t n = hidden.rows;
  if (slots_.transform.weight.present()) {
    const Matrix linear = linear_.view(n), gelu = gelu_.view(n);
    linear_forward(context, weights, slots_.transform, hidden, linear);
    activation_forward(context, Activation::kGelu, linear, gelu);
    norm_forward(context, config_, weights, slots_.transform_norm, gelu, z_.view(n), statistics_);
  }
  if (slots_.project_out.present()) {
    linear_forward(context, weights, {slots_.project_out, {}}, transformed(hidden), projected_.view(n));
  }
  linear_forward(context, weights, {slots_.weight, slots_.bias}, projected(hidden), logits);
}

void TokenHead::backward(const OpContext& context, const Weights& weights, const Gradients& gradients,
                         ConstMatrix hidden, ConstMatrix d_logits, Matrix d_hidden) {
  const int64_t n = hidden.rows;
  const bool transforms = slots_.transform.weight.present(), projects = slots_.project_out.present();
  const Matrix d_z = transforms ? d_z_.view(n) : d_hidden;
  const Matrix d_projected = projects ? d_projected_.view(n) : d_z;
  if (slots_.bias.present()) sum_rows(context, d_logits, gradients.vector(slots_.bias));
  const ConstMatrix d_logits_a = d_logits_a_.round(context, d_logits);
  matmul(context, {.a = d_logits_a,
                   .b = projected(hidden),
                   .c = gradients.matrix(slots_.weight_gradient),
                   .transpose_a = true,
                   .accumulate = true});
  matmul(context, {.a = d_logits_a, .b = weights.matrix(slots_.weight), .c = d_projected});
  if (projects) {
    linear_backward(context, weights, gradients, {slots_.project_out, {}}, transformed(hidden), d_projected, d_z);
  }
  if (!transforms) return;
  const Matrix d_gelu = d_gelu_.view(n), d_linear = d_linear_.view(n);
  fill_zero(context, d_gelu.f32(), n * d_gelu.cols);
  norm_backward(context, config_, weights, gradients, slots_.transform_norm, d_z, gelu_.view(n), statistics_, d_gelu);
  activation_backward(context, Activation::kGelu, linear_.view(n), d_gelu, d_linear);
  linear_backward(context, weights, gradients, slots_.transform, hidden, d_linear_a_.round(context, d_linear),
                  d_hidden);
}

}  // namespace strand
