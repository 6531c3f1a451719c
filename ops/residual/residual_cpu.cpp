#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/residual/residual_cpu.cpp"
#include <hwy/foreach_target.h>

#include "ops/cpu/chunks.h"
#include "ops/cpu/simd-inl.h"
#include "ops/residual/residual_backends.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

template <class T>
void add_rows_of(const T* y, int64_t y_stride, Matrix x) {
  for (int64_t r = 0; r < x.rows; ++r, y += y_stride) {
    float* row = x.f32() + r * x.stride;
    for (int64_t i = 0; i < x.cols; i += lanes()) {
      const int64_t left = x.cols - i;
      store(hn::Add(load(row + i, left), load(y + i, left)), row + i, left);
    }
  }
}

void residual_rows(ConstMatrix y, Matrix x) {
  if (y.dtype == DType::kF32) {
    add_rows_of(y.f32(), y.stride, x);
  } else {
    add_rows_of(y.bf16(), y.stride, x);
  }
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {

HWY_EXPORT(residual_rows);

void residual_add(const OpContext& context, ConstMatrix y, Matrix x) {
  for_chunks(context, x.rows, rows_per_task(x.cols), [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(residual_rows)(y.row_range(first, count), x.row_range(first, count));
  });
}

}  // namespace strand::cpu
#endif
