#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/rms_norm/rms_norm_cpu.cpp"
#include <hwy/foreach_target.h>

#include <cmath>

#include "ops/cpu/chunks.h"
#include "ops/cpu/simd-inl.h"
#include "ops/rms_norm/rms_norm_backends.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

HWY_INLINE float row_rstd(const float* x, int64_t d, float eps) {
  VF squares = zero();
  for (int64_t i = 0; i < d; i += lanes()) {
    const VF v = load(x + i, d - i);
    squares = hn::MulAdd(v, v, squares);
  }
  const double mean = static_cast<double>(sum_lanes(squares)) / static_cast<double>(d);
  return static_cast<float>(1 / std::sqrt(mean + eps));
}

template <class T>
void forward_row(const float* x, int64_t d, const float* weight, float rstd, T* y) {
  for (int64_t i = 0; i < d; i += lanes()) {
    const int64_t left = d - i;
    const VF v = hn::Mul(load(x + i, left), set(rstd));
    store(weight != nullptr ? hn::Mul(v, load(weight + i, left)) : v, y + i, left);
  }
}

void rms_norm_rows(ConstMatrix x, const float* weight, float eps, Matrix y, float* rstd) {
  for (int64_t r = 0; r < x.rows; ++r) {
    const float* row = x.f32() + r * x.stride;
    rstd[r] = row_rstd(row, x.cols, eps);
    if (y.dtype == DType::kF32) {
      forward_row(row, x.cols, weight, rstd[r], y.f32() + r * y.stride);
    } else {
      forward_row(row, x.cols, weight, rstd[r], y.bf16() + r * y.stride);
    }
  }
}

// With g = d_y * weight and n = x * rstd: d_x += rstd * (g - n * mean(g n)). sums: d_weight of the chunk, or null.
template <class T>
void backward_row(const T* d_y, const float* x, int64_t d, const float* weight, float rstd, float* d_x, float* sums) {
  VF sum_gn = zero();
  for (int64_t i = 0; i < d; i += lanes()) {
    const int64_t left = d - i;
    const VF dy = load(d_y + i, left);
    const VF n = hn::Mul(load(x + i, left), set(rstd));
    const VF product = hn::Mul(dy, n);
    sum_gn = weight != nullptr ? hn::MulAdd(product, load(weight + i, left), sum_gn) : hn::Add(sum_gn, product);
    if (sums != nullptr) store(hn::Add(load(sums + i, left), product), sums + i, left);
  }
  const VF mean_gn = set(sum_lanes(sum_gn) / static_cast<float>(d));
  for (int64_t i = 0; i < d; i += lanes()) {
    const int64_t left = d - i;
    const VF dy = load(d_y + i, left);
    const VF n = hn::Mul(load(x + i, left), set(rstd));
    const VF g = weight != nullptr ? hn::Mul(dy, load(weight + i, left)) : dy;
    store(hn::MulAdd(hn::NegMulAdd(n, mean_gn, g), set(rstd), load(d_x + i, left)), d_x + i, left);
  }
}

void rms_norm_backward_rows(ConstMatrix d_y, ConstMatrix x, const float* weight, const float* rstd, Matrix d_x,
                            float* sums) {
  for (int64_t r = 0; r < x.rows; ++r) {
    const float* row = x.f32() + r * x.stride;
    float* out = d_x.f32() + r * d_x.stride;
    if (d_y.dtype == DType::kF32) {
      backward_row(d_y.f32() + r * d_y.stride, row, x.cols, weight, rstd[r], out, sums);
    } else {
      backward_row(d_y.bf16() + r * d_y.stride, row, x.cols, weight, rstd[r], out, sums);
    }
  }
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {

HWY_EXPORT(rms_norm_rows);
HWY_EXPORT(rms_norm_backward_rows);

void rms_norm_forward(const OpContext& context, ConstMatrix x, const float* weight, float eps, Matrix y, float* rstd) {
  for_chunks(context, x.rows, rows_per_task(x.cols), [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(rms_norm_rows)
    (x.row_range(first, count), weight, eps, y.row_range(first, count), rstd + first);
  });
}

void rms_norm_backward(const OpContext& context, ConstMatrix d_y, ConstMatrix x, const float* weight, const float* rstd,
                       Matrix d_x, float* d_weight) {
  const int64_t count = chunks(x.rows, kChunkRows);
  float* partials = d_weight != nullptr ? zeroed_scratch(context, count * x.cols) : nullptr;
  for_chunks(context, x.rows, kChunkRows, [&](int64_t first, int64_t rows, int64_t chunk) {
    HWY_DYNAMIC_DISPATCH(rms_norm_backward_rows)
    (d_y.row_range(first, rows), x.row_range(first, rows), weight, rstd + first, d_x.row_range(first, rows),
     partials != nullptr ? partials + chunk * x.cols : nullptr);
  });
  if (d_weight != nullptr) add_partials(partials, count, x.cols, x.cols, d_weight);
}

}  // namespace strand::cpu
#endif
