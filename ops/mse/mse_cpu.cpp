#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/mse/mse_cpu.cpp"
#include <hwy/foreach_target.h>

#include "ops/cpu/label_loss-inl.h"
#include "ops/cpu/label_loss.h"
#include "ops/cpu/simd-inl.h"
#include "ops/mse/mse_backends.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

struct SquaredError {
  static HWY_INLINE void value_and_gradient(VF x, VF label, VF& value, VF& gradient) {
    const VF difference = hn::Sub(x, label);
    value = hn::Mul(difference, difference);
    gradient = hn::Add(difference, difference);
  }
};

void mse_rows(Matrix predictions, ConstMatrix labels, bool want_gradient, LossSum* sums) {
  label_loss_rows<SquaredError>(predictions, labels, want_gradient, sums);
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {

HWY_EXPORT(mse_rows);

LossSum mse(const OpContext& context, Matrix predictions, ConstMatrix labels, bool want_gradient) {
  return label_loss(context, predictions, labels, [&](Matrix x, ConstMatrix t, LossSum* sums) {
    HWY_DYNAMIC_DISPATCH(mse_rows)(x, t, want_gradient, sums);
  });
}

}  // namespace strand::cpu
#endif
