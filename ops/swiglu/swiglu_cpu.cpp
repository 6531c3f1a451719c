#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/swiglu/swiglu_cpu.cpp"
#include <hwy/foreach_target.h>

#include "ops/cpu/chunks.h"
#include "ops/cpu/simd-inl.h"
#include "ops/swiglu/swiglu_backends.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

template <class T>
void swiglu_row(const T* x, int64_t h, T* y) {
  for (int64_t i = 0; i < h; i += lanes()) {
    const int64_t left = h - i;
    const VF gate = load(x + h + i, left);
    const VF silu = hn::Mul(gate, sigmoid(gate));
    store(hn::Mul(silu, load(x + i, left)), y + i, left);
  }
}

// d linear = d_y * silu(gate);  d gate = d_y * linear * s * (1 + gate * (1 - s)),  s = sigmoid(gate).
template <class T>
void swiglu_backward_row(const T* x, const T* d_y, int64_t h, T* d_x) {
  const VF one = set(1.0f);
  for (int64_t i = 0; i < h; i += lanes()) {
    const int64_t left = h - i;
    const VF linear = load(x + i, left);
    const VF gate = load(x + h + i, left);
    const VF g = load(d_y + i, left);
    const VF s = sigmoid(gate);
    const VF slope = hn::Mul(s, hn::MulAdd(gate, hn::Sub(one, s), one));
    store(hn::Mul(g, hn::Mul(gate, s)), d_x + i, left);
    store(hn::Mul(hn::Mul(g, linear), slope), d_x + h + i, left);
  }
}

void swiglu_rows(ConstMatrix x, Matrix y) {
  for (int64_t r = 0; r < y.rows; ++r) {
    if (x.dtype == DType::kF32) {
      swiglu_row(x.f32() + r * x.stride, y.cols, y.f32() + r * y.stride);
    } else {
      swiglu_row(x.bf16() + r * x.stride, y.cols, y.bf16() + r * y.stride);
    }
  }
}

void swiglu_backward_rows(ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  for (int64_t r = 0; r < d_y.rows; ++r) {
    if (x.dtype == DType::kF32) {
      swiglu_backward_row(x.f32() + r * x.stride, d_y.f32() + r * d_y.stride, d_y.cols, d_x.f32() + r * d_x.stride);
    } else {
      swiglu_backward_row(x.bf16() + r * x.stride, d_y.bf16() + r * d_y.stride, d_y.cols, d_x.bf16() + r * d_x.stride);
    }
  }
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {

HWY_EXPORT(swiglu_rows);
HWY_EXPORT(swiglu_backward_rows);

void swiglu_forward(const OpContext& context, ConstMatrix x, Matrix y) {
  for_chunks(context, x.rows, rows_per_task(x.cols), [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(swiglu_rows)(x.row_range(first, count), y.row_range(first, count));
  });
}

void swiglu_backward(const OpContext& context, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  for_chunks(context, x.rows, rows_per_task(x.cols), [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(swiglu_backward_rows)
    (x.row_range(first, count), d_y.row_range(first, count), d_x.row_range(first, count));
  });
}

}  // namespace strand::cpu
#endif
