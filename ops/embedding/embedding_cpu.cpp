#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/embedding/embedding_cpu.cpp"
#include <hwy/foreach_target.h>

#include "ops/cpu/chunks.h"
#include "ops/cpu/simd-inl.h"
#include "ops/embedding/embedding_backends.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

template <class T>
void scaled_row(const T* from, int64_t d, float scale, float* to) {
  for (int64_t i = 0; i < d; i += lanes()) store(hn::Mul(load(from + i, d - i), set(scale)), to + i, d - i);
}

void embedding_rows(const int32_t* ids, ConstMatrix table, float scale, Matrix out) {
  for (int64_t t = 0; t < out.rows; ++t) {
    float* to = out.f32() + t * out.stride;
    if (table.dtype == DType::kF32) {
      scaled_row(table.f32() + ids[t] * table.stride, out.cols, scale, to);
    } else {
      scaled_row(table.bf16() + ids[t] * table.stride, out.cols, scale, to);
    }
  }
}

void embedding_backward_columns(const int32_t* ids, ConstMatrix d_out, float scale, Matrix d_table) {
  const int64_t n = d_out.cols;
  for (int64_t t = 0; t < d_out.rows; ++t) {
    const float* from = d_out.f32() + t * d_out.stride;
    float* to = d_table.f32() + ids[t] * d_table.stride;
    for (int64_t i = 0; i < n; i += lanes()) {
      // A rounded product, so that scale = 1 or a power of two changes nothing.
      const VF scaled = hn::Mul(load(from + i, n - i), set(scale));
      store(hn::Add(load(to + i, n - i), scaled), to + i, n - i);
    }
  }
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {

HWY_EXPORT(embedding_rows);
HWY_EXPORT(embedding_backward_columns);

void embedding_forward(const OpContext& context, const int32_t* ids, ConstMatrix table, float scale, Matrix out) {
  for_chunks(context, out.rows, rows_per_task(out.cols), [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(embedding_rows)(ids + first, table, scale, out.row_range(first, count));
  });
}

// Tasks are slices of columns: each walks all tokens, so every id's additions happen in token order.
void embedding_backward(const OpContext& context, const int32_t* ids, ConstMatrix d_out, float scale, Matrix d_table) {
  constexpr int64_t kColumns = 64;
  for_chunks(context, d_out.cols, kColumns, [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(embedding_backward_columns)
    (ids, d_out.columns(first, count), scale, d_table.columns(first, count));
  });
}

}  // namespace strand::cpu
#endif
