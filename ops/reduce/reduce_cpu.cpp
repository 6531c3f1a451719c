#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/reduce/reduce_cpu.cpp"
#include <hwy/foreach_target.h>

#include "ops/cpu/chunks.h"
#include "ops/cpu/simd-inl.h"
#include "ops/reduce/reduce_backends.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

template <class T>
void sum_rows_of(const T* x, int64_t rows, int64_t cols, int64_t stride, float* sums) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4, x += 4 * stride) {
    for (int64_t i = 0; i < cols; i += lanes()) {
      const int64_t left = cols - i;
      const VF a = hn::Add(load(x + i, left), load(x + stride + i, left));
      const VF b = hn::Add(load(x + 2 * stride + i, left), load(x + 3 * stride + i, left));
      store(hn::Add(load(sums + i, left), hn::Add(a, b)), sums + i, left);
    }
  }
  for (; r < rows; ++r, x += stride) {
    for (int64_t i = 0; i < cols; i += lanes()) {
      store(hn::Add(load(sums + i, cols - i), load(x + i, cols - i)), sums + i, cols - i);
    }
  }
}

void sum_rows_of_chunk(ConstMatrix x, float* sums) {
  if (x.dtype == DType::kF32) {
    sum_rows_of(x.f32(), x.rows, x.cols, x.stride, sums);
  } else {
    sum_rows_of(x.bf16(), x.rows, x.cols, x.stride, sums);
  }
}

double sum_squares(const float* x, int64_t n) {
  using Doubles = hn::Repartition<double, Floats>;
  const Doubles d;
  const hn::Rebind<float, Doubles> half;
  const auto step = static_cast<int64_t>(hn::Lanes(d));
  auto s0 = hn::Zero(d), s1 = hn::Zero(d), s2 = hn::Zero(d), s3 = hn::Zero(d);
  int64_t i = 0;
  for (; i + 4 * step <= n; i += 4 * step) {
    const auto a = hn::PromoteTo(d, hn::LoadU(half, x + i));
    const auto b = hn::PromoteTo(d, hn::LoadU(half, x + i + step));
    const auto c = hn::PromoteTo(d, hn::LoadU(half, x + i + 2 * step));
    const auto e = hn::PromoteTo(d, hn::LoadU(half, x + i + 3 * step));
    s0 = hn::MulAdd(a, a, s0);
    s1 = hn::MulAdd(b, b, s1);
    s2 = hn::MulAdd(c, c, s2);
    s3 = hn::MulAdd(e, e, s3);
  }
  double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
  for (; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

void add_block(const float* from, int64_t n, float* into) {
  for (int64_t i = 0; i < n; i += lanes()) {
    store(hn::Add(load(into + i, n - i), load(from + i, n - i)), into + i, n - i);
  }
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {

HWY_EXPORT(sum_rows_of_chunk);
HWY_EXPORT(sum_squares);
HWY_EXPORT(add_block);

void sum_rows(const OpContext& context, ConstMatrix x, float* out) {
  const int64_t count = chunks(x.rows, kChunkRows);
  float* partials = zeroed_scratch(context, count * x.cols);
  for_chunks(context, x.rows, kChunkRows, [&](int64_t first, int64_t rows, int64_t chunk) {
    HWY_DYNAMIC_DISPATCH(sum_rows_of_chunk)(x.row_range(first, rows), partials + chunk * x.cols);
  });
  add_partials(partials, count, x.cols, x.cols, out);
}

void sum_squares_by_block(const OpContext& context, const float* x, int64_t n, double* partial) {
  for_chunks(context, n, kBlockElements, [&](int64_t first, int64_t count, int64_t block) {
    partial[block] = HWY_DYNAMIC_DISPATCH(sum_squares)(x + first, count);
  });
}

void add(const OpContext& context, const float* from, int64_t n, float* into) {
  for_chunks(context, n, kTaskElements, [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(add_block)(from + first, count, into + first);
  });
}

}  // namespace strand::cpu
#endif
