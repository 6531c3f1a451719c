#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/swiglu/swiglu_cpu.cpp"
#include <hwy/foreach_target.h>

#include "ops/cpu/chunks.h"
#include "ops/cpu/gated-inl.h"
#include "ops/cpu/simd-inl.h"
#include "ops/swiglu/swiglu_backends.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

struct Silu {
  static HWY_INLINE VF value(VF x) { return hn::Mul(x, sigmoid(x)); }
  // The slope is s * (1 + x * (1 - s)), s = sigmoid(x).
  static HWY_INLINE void value_and_slope(VF x, VF& value, VF& slope) {
    const VF one = set(1.0f);
    const VF s = sigmoid(x);
    value = hn::Mul(x, s);
    slope = hn::Mul(s, hn::MulAdd(x, hn::Sub(one, s), one));
  }
};

void swiglu_rows(ConstMatrix x, Matrix y) {
  gated_rows<Silu>(x, y);
}

void swiglu_backward_rows(ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  gated_backward_rows<Silu>(x, d_y, d_x);
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
