// Rows of gated linear units, y = gate(g) * linear for x = [linear | g], whatever the gate. Compiled once per
// instruction set: include it after hwy/foreach_target.h. A gate has value(g) and value_and_slope(g, value, slope).
#if defined(STRAND_OPS_CPU_GATED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STRAND_OPS_CPU_GATED_INL_H_
#undef STRAND_OPS_CPU_GATED_INL_H_
#else
#define STRAND_OPS_CPU_GATED_INL_H_
#endif

#include "ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

template <class Gate, class T>
void gated_row(const T* x, int64_t h, T* y) {
  for (int64_t i = 0; i < h; i += lanes()) {
    const int64_t left = h - i;
    store(hn::Mul(Gate::value(load(x + h + i, left)), load(x + i, left)), y + i, left);
  }
}

// d linear = d_y * gate(g);  d g = d_y * linear * gate'(g).
template <class Gate, class T>
void gated_backward_row(const T* x, const T* d_y, int64_t h, T* d_x) {
  for (int64_t i = 0; i < h; i += lanes()) {
    const int64_t left = h - i;
    const VF linear = load(x + i, left);
    const VF g = load(d_y + i, left);
    VF value, slope;
    Gate::value_and_slope(load(x + h + i, left), value, slope);
    store(hn::Mul(g, value), d_x + i, left);
    store(hn::Mul(hn::Mul(g, linear), slope), d_x + h + i, left);
  }
}

template <class Gate>
void gated_rows(ConstMatrix x, Matrix y) {
  for (int64_t r = 0; r < y.rows; ++r) {
    if (x.dtype == DType::kF32) {
      gated_row<Gate>(x.f32() + r * x.stride, y.cols, y.f32() + r * y.stride);
    } else {
      gated_row<Gate>(x.bf16() + r * x.stride, y.cols, y.bf16() + r * y.stride);
    }
  }
}

template <class Gate>
void gated_backward_rows(ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  for (int64_t r = 0; r < d_y.rows; ++r) {
    if (x.dtype == DType::kF32) {
      gated_backward_row<Gate>(x.f32() + r * x.stride, d_y.f32() + r * d_y.stride, d_y.cols,
                               d_x.f32() + r * d_x.stride);
    } else {
      gated_backward_row<Gate>(x.bf16() + r * x.stride, d_y.bf16() + r * d_y.stride, d_y.cols,
                               d_x.bf16() + r * d_x.stride);
    }
  }
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
