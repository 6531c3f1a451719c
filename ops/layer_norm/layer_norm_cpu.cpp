#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/layer_norm/layer_norm_cpu.cpp"
#include <hwy/foreach_target.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/cpu/chunks.h"
#include "ops/cpu/simd-inl.h"
#include "ops/layer_norm/layer_norm_backends.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

struct Moments {
  float mean;
  float rstd;
};

// Two passes over the row, which the first leaves in the cache. The second also corrects the rounding of the mean
// (Chan, Golub and LeVeque, 1983), so that a large common offset does not spoil the variance.
HWY_INLINE Moments row_moments(const float* x, int64_t d, float eps) {
  VF sum = zero();
  for (int64_t i = 0; i < d; i += lanes()) sum = hn::Add(sum, load(x + i, d - i));
  const float count = static_cast<float>(d);
  const float rough = sum_lanes(sum) / count;
  VF squares = zero();
  VF rest = zero();
  for (int64_t i = 0; i < d; i += lanes()) {
    const VF centred = within(hn::Sub(load(x + i, d - i), set(rough)), d - i, zero());
    squares = hn::MulAdd(centred, centred, squares);
    rest = hn::Add(rest, centred);
  }
  const float correction = sum_lanes(rest) / count;
  const double variance =
      std::max(0.0, static_cast<double>(sum_lanes(squares)) / count - static_cast<double>(correction) * correction);
  // A NaN or infinite row must not look like a constant one.
  const double checked = std::isfinite(correction) ? variance : std::numeric_limits<double>::quiet_NaN();
  return {rough + correction, static_cast<float>(1 / std::sqrt(checked + eps))};
}

template <class T>
void forward_row(const float* x, int64_t d, const float* weight, const float* bias, Moments m, T* y) {
  for (int64_t i = 0; i < d; i += lanes()) {
    const int64_t left = d - i;
    VF v = hn::Mul(hn::Sub(load(x + i, left), set(m.mean)), set(m.rstd));
    if (weight != nullptr) v = hn::Mul(v, load(weight + i, left));
    if (bias != nullptr) v = hn::Add(v, load(bias + i, left));
    store(v, y + i, left);
  }
}

void layer_norm_rows(ConstMatrix x, const float* weight, const float* bias, float eps, Matrix y, float* mean,
                     float* rstd) {
  for (int64_t r = 0; r < x.rows; ++r) {
    const float* row = x.f32() + r * x.stride;
    const Moments m = row_moments(row, x.cols, eps);
    mean[r] = m.mean;
    rstd[r] = m.rstd;
    if (y.dtype == DType::kF32) {
      forward_row(row, x.cols, weight, bias, m, y.f32() + r * y.stride);
    } else {
      forward_row(row, x.cols, weight, bias, m, y.bf16() + r * y.stride);
    }
  }
}

// With g = d_y * weight and n = (x - mean) * rstd: d_x += rstd * (g - mean(g) - n * mean(g n)). sums is
// [d_weight | d_bias] of the chunk, or null.
template <class T>
void backward_row(const T* d_y, const float* x, int64_t d, const float* weight, Moments m, float* d_x, float* sums) {
  VF sum_g = zero();
  VF sum_gn = zero();
  for (int64_t i = 0; i < d; i += lanes()) {
    const int64_t left = d - i;
    const VF dy = load(d_y + i, left);
    const VF n = hn::Mul(hn::Sub(load(x + i, left), set(m.mean)), set(m.rstd));
    const VF g = weight != nullptr ? hn::Mul(dy, load(weight + i, left)) : dy;
    sum_g = hn::Add(sum_g, g);
    sum_gn = hn::MulAdd(g, n, sum_gn);  // g is zero after the end of the row
    if (sums != nullptr) {
      store(hn::MulAdd(dy, n, load(sums + i, left)), sums + i, left);
      store(hn::Add(dy, load(sums + d + i, left)), sums + d + i, left);
    }
  }
  const VF mean_g = set(sum_lanes(sum_g) / static_cast<float>(d));
  const VF mean_gn = set(sum_lanes(sum_gn) / static_cast<float>(d));
  for (int64_t i = 0; i < d; i += lanes()) {
    const int64_t left = d - i;
    const VF dy = load(d_y + i, left);
    const VF n = hn::Mul(hn::Sub(load(x + i, left), set(m.mean)), set(m.rstd));
    const VF g = weight != nullptr ? hn::Mul(dy, load(weight + i, left)) : dy;
    const VF inner = hn::NegMulAdd(n, mean_gn, hn::Sub(g, mean_g));
    store(hn::MulAdd(inner, set(m.rstd), load(d_x + i, left)), d_x + i, left);
  }
}

void layer_norm_backward_rows(ConstMatrix d_y, ConstMatrix x, const float* weight, const float* mean, const float* rstd,
                              Matrix d_x, float* sums) {
  for (int64_t r = 0; r < x.rows; ++r) {
    const float* row = x.f32() + r * x.stride;
    float* out = d_x.f32() + r * d_x.stride;
    if (d_y.dtype == DType::kF32) {
      backward_row(d_y.f32() + r * d_y.stride, row, x.cols, weight, {mean[r], rstd[r]}, out, sums);
    } else {
      backward_row(d_y.bf16() + r * d_y.stride, row, x.cols, weight, {mean[r], rstd[r]}, out, sums);
    }
  }
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {

HWY_EXPORT(layer_norm_rows);
HWY_EXPORT(layer_norm_backward_rows);

void layer_norm_forward(const OpContext& context, ConstMatrix x, const float* weight, const float* bias, float eps,
                        Matrix y, float* mean, float* rstd) {
  for_chunks(context, x.rows, rows_per_task(x.cols), [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(layer_norm_rows)
    (x.row_range(first, count), weight, bias, eps, y.row_range(first, count), mean + first, rstd + first);
  });
}

void layer_norm_backward(const OpContext& context, ConstMatrix d_y, ConstMatrix x, const float* weight,
                         const float* mean, const float* rstd, Matrix d_x, float* d_weight, float* d_bias) {
  const bool affine = d_weight != nullptr || d_bias != nullptr;
  const int64_t count = chunks(x.rows, kChunkRows);
  const int64_t size = 2 * x.cols;
  float* partials = affine ? zeroed_scratch(context, count * size) : nullptr;
  for_chunks(context, x.rows, kChunkRows, [&](int64_t first, int64_t rows, int64_t chunk) {
    HWY_DYNAMIC_DISPATCH(layer_norm_backward_rows)
    (d_y.row_range(first, rows), x.row_range(first, rows), weight, mean + first, rstd + first,
     d_x.row_range(first, rows), affine ? partials + chunk * size : nullptr);
  });
  if (d_weight != nullptr) add_partials(partials, count, x.cols, size, d_weight);
  if (d_bias != nullptr) add_partials(partials + (affine ? x.cols : 0), count, x.cols, size, d_bias);
}

}  // namespace strand::cpu
#endif
