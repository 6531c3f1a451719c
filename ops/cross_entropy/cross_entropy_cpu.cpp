#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cross_entropy/cross_entropy_cpu.cpp"
#include <hwy/foreach_target.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/cpu/chunks.h"
#include "ops/cpu/simd-inl.h"
#include "ops/cross_entropy/cross_entropy_backends.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

HWY_INLINE float largest_of(const float* x, int64_t n) {
  const VF least = set(-std::numeric_limits<float>::infinity());
  VF a = least;
  VF b = least;
  int64_t i = 0;
  for (; i + 2 * lanes() <= n; i += 2 * lanes()) {
    a = hn::Max(a, load(x + i));
    b = hn::Max(b, load(x + i + lanes()));
  }
  for (; i < n; i += lanes()) a = hn::Max(a, within(load(x + i, n - i), n - i, least));
  return hn::GetLane(hn::MaxOfLanes(Floats(), hn::Max(a, b)));
}

// exp(x - largest); NaN stays NaN (Highway's Exp makes it 0), so that a broken run is seen.
HWY_INLINE VF relative_exp(VF x, VF largest) {
  const VF difference = hn::Sub(x, largest);
  return hn::IfThenElse(hn::IsNaN(difference), difference, hn::Exp(Floats(), difference));
}

// Sum of exp(x - largest): fp32 within 256 elements, double beyond, so that a vocabulary of 50,000 costs no digits. The
// terms replace x when `keep`.
template <bool keep>
HWY_INLINE double sum_exp(float* x, int64_t n, float largest) {
  constexpr int64_t kGroup = 256;
  double total = 0;
  for (int64_t first = 0; first < n; first += kGroup) {
    const int64_t end = std::min(n, first + kGroup);
    VF sum = zero();
    for (int64_t i = first; i < end; i += lanes()) {
      const VF e = within(relative_exp(load(x + i, end - i), set(largest)), end - i, zero());
      if constexpr (keep) store(e, x + i, end - i);
      sum = hn::Add(sum, e);
    }
    total += sum_lanes(sum);
  }
  return total;
}

void cross_entropy_rows(Matrix logits, const int32_t* targets, bool want_gradient, double* losses) {
  const int64_t n = logits.cols;
  for (int64_t r = 0; r < logits.rows; ++r) {
    float* x = logits.f32() + r * logits.stride;
    losses[r] = 0;
    if (targets[r] == kIgnoredTarget) {
      if (want_gradient) std::fill_n(x, n, 0.0f);
      continue;
    }
    const float largest = largest_of(x, n);
    const double target = x[targets[r]];
    const double total = want_gradient ? sum_exp<true>(x, n, largest) : sum_exp<false>(x, n, largest);
    losses[r] = std::log(total) + (static_cast<double>(largest) - target);
    if (!want_gradient) continue;
    const VF scale = set(static_cast<float>(1 / total));
    // Taken from the terms in double before the rounding of the product: 1 - p keeps its digits when p is near 1.
    const double others = total - static_cast<double>(x[targets[r]]);
    for (int64_t i = 0; i < n; i += lanes()) store(hn::Mul(load(x + i, n - i), scale), x + i, n - i);
    x[targets[r]] = static_cast<float>(-others / total);
  }
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {

HWY_EXPORT(cross_entropy_rows);

CrossEntropySum cross_entropy(const OpContext& context, Matrix logits, const int32_t* targets, bool want_gradient,
                              float* row_loss) {
  auto* losses = static_cast<double*>(context.workspace->scratch(0, static_cast<size_t>(logits.rows) * sizeof(double)));
  for_chunks(context, logits.rows, rows_per_task(logits.cols), [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(cross_entropy_rows)
    (logits.row_range(first, count), targets + first, want_gradient, losses + first);
  });
  CrossEntropySum sum;
  for (int64_t r = 0; r < logits.rows; ++r) {
    sum.loss += losses[r];
    sum.targets += targets[r] != kIgnoredTarget ? 1 : 0;
    if (row_loss != nullptr) row_loss[r] = static_cast<float>(losses[r]);
  }
  return sum;
}

}  // namespace strand::cpu
#endif
