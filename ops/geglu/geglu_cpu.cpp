#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/geglu/geglu_cpu.cpp"
#include <hwy/foreach_target.h>

#include "ops/cpu/chunks.h"
#include "ops/cpu/gated-inl.h"
#include "ops/cpu/gelu-inl.h"
#include "ops/cpu/simd-inl.h"
#include "ops/geglu/geglu_backends.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

struct GeluGate {
  static HWY_INLINE VF value(VF x) { return Gelu::value(x); }
  // The exponential and the distribution are taken once for both.
  static HWY_INLINE void value_and_slope(VF x, VF& value, VF& slope) {
    const VF density = bell(x);
    const VF distribution = normal_distribution(x, density);
    value = hn::Mul(x, distribution);
    slope = Gelu::slope(x, density, distribution);
  }
};

void geglu_rows(ConstMatrix x, Matrix y) {
  gated_rows<GeluGate>(x, y);
}

void geglu_backward_rows(ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  gated_backward_rows<GeluGate>(x, d_y, d_x);
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {

HWY_EXPORT(geglu_rows);
HWY_EXPORT(geglu_backward_rows);

void geglu_forward(const OpContext& context, ConstMatrix x, Matrix y) {
  for_chunks(context, x.rows, rows_per_task(x.cols), [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(geglu_rows)(x.row_range(first, count), y.row_range(first, count));
  });
}

void geglu_backward(const OpContext& context, ConstMatrix x, ConstMatrix d_y, Matrix d_x) {
  for_chunks(context, x.rows, rows_per_task(x.cols), [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(geglu_backward_rows)
    (x.row_range(first, count), d_y.row_range(first, count), d_x.row_range(first, count));
  });
}

}  // namespace strand::cpu
#endif
