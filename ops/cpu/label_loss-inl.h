// Rows of a loss between predictions and labels, whatever the loss. Compiled once per instruction set: include it after
// hwy/foreach_target.h. A Loss has value_and_gradient(prediction, label, value, gradient).
#if defined(STRAND_OPS_CPU_LABEL_LOSS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STRAND_OPS_CPU_LABEL_LOSS_INL_H_
#undef STRAND_OPS_CPU_LABEL_LOSS_INL_H_
#else
#define STRAND_OPS_CPU_LABEL_LOSS_INL_H_
#endif

#include <algorithm>
#include <limits>

#include "ops/core/loss_sum.h"
#include "ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

// fp32 within 256 elements, double beyond. The gradient, 0 where the label is NaN, replaces x when `want_gradient`.
template <class Loss>
LossSum label_loss_row(float* x, const float* labels, int64_t n, bool want_gradient) {
  constexpr int64_t kGroup = 256;
  const VF nothing = set(std::numeric_limits<float>::quiet_NaN());
  LossSum total;
  for (int64_t first = 0; first < n; first += kGroup) {
    const int64_t end = std::min(n, first + kGroup);
    VF sum = zero();
    for (int64_t i = first; i < end; i += lanes()) {
      const int64_t left = end - i;
      const VF label = within(load(labels + i, left), left, nothing);
      const auto counted = hn::Not(hn::IsNaN(label));
      VF value, gradient;
      Loss::value_and_gradient(load(x + i, left), label, value, gradient);
      sum = hn::Add(sum, hn::IfThenElseZero(counted, value));
      total.targets += static_cast<int64_t>(hn::CountTrue(Floats(), counted));
      if (want_gradient) store(hn::IfThenElseZero(counted, gradient), x + i, left);
    }
    total.loss += static_cast<double>(sum_lanes(sum));
  }
  return total;
}

template <class Loss>
void label_loss_rows(Matrix predictions, ConstMatrix labels, bool want_gradient, LossSum* sums) {
  for (int64_t r = 0; r < predictions.rows; ++r) {
    sums[r] = label_loss_row<Loss>(predictions.f32() + r * predictions.stride, labels.f32() + r * labels.stride,
                                   predictions.cols, want_gradient);
  }
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
