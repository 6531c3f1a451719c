#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/bce/bce_cpu.cpp"
#include <hwy/foreach_target.h>

#include "ops/bce/bce_backends.h"
#include "ops/cpu/label_loss-inl.h"
#include "ops/cpu/label_loss.h"
#include "ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

// As the reference: the smaller of sigmoid(x) and 1 - sigmoid(x) keeps its digits, and nothing overflows. A NaN stays
// one (Highway's Exp makes it 0), so that a broken run is seen.
struct BinaryCrossEntropy {
  static HWY_INLINE void value_and_gradient(VF x, VF label, VF& value, VF& gradient) {
    const VF one = set(1.0f);
    const VF e = hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(Floats(), hn::Neg(hn::Abs(x))));
    const VF smaller = hn::Div(e, hn::Add(one, e));
    const VF missing = hn::Sub(one, label);
    const auto positive = hn::Ge(x, zero());
    const VF growing = hn::IfThenElse(positive, hn::Mul(x, missing), hn::Mul(hn::Neg(x), label));
    value = hn::Add(growing, hn::Log1p(Floats(), e));
    gradient = hn::IfThenElse(positive, hn::Sub(missing, smaller), hn::Sub(smaller, label));
  }
};

void bce_rows(Matrix logits, ConstMatrix labels, bool want_gradient, LossSum* sums) {
  label_loss_rows<BinaryCrossEntropy>(logits, labels, want_gradient, sums);
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {

HWY_EXPORT(bce_rows);

LossSum bce(const OpContext& context, Matrix logits, ConstMatrix labels, bool want_gradient) {
  return label_loss(context, logits, labels, [&](Matrix x, ConstMatrix t, LossSum* sums) {
    HWY_DYNAMIC_DISPATCH(bce_rows)(x, t, want_gradient, sums);
  });
}

}  // namespace strand::cpu
#endif
