// The exact GELU (by erf) and its derivative on vectors, for the activation and for GEGLU's gate. Compiled once per
// instruction set: include it after hwy/foreach_target.h.
#if defined(STRAND_OPS_CPU_GELU_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STRAND_OPS_CPU_GELU_INL_H_
#undef STRAND_OPS_CPU_GELU_INL_H_
#else
#define STRAND_OPS_CPU_GELU_INL_H_
#endif

#include "ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

// Phi(x), the normal distribution function, from density = exp(-x^2 / 2). For a = |x|, Phi(-a) = exp(-a^2 / 2) * R(a)
// (R is Mills' ratio / sqrt(2 pi)), and R(a) = t * Q(t) with t = 1 / (1 + 0.3 a). Q is our own least-squares fit of
// relative error at 60 Chebyshev nodes of t for a in [0, 14], computed with 40 digits; relative error of the
// fit 4.1e-9, so what is left is fp32 rounding, also in the left tail where 1 + erf cancels. Beyond 14 the exponential
// is 0.
HWY_INLINE VF normal_distribution(VF x, VF density) {
  const VF one = set(1.0f);
  const VF t = hn::Div(one, hn::MulAdd(hn::Abs(x), set(0.3f), one));
  VF q = set(-0.0208782613999f);
  q = hn::MulAdd(q, t, set(0.113806516124f));
  q = hn::MulAdd(q, t, set(-0.231400286179f));
  q = hn::MulAdd(q, t, set(0.19597418526f));
  q = hn::MulAdd(q, t, set(-0.082847550461f));
  q = hn::MulAdd(q, t, set(0.0979556972916f));
  q = hn::MulAdd(q, t, set(0.07778385844f));
  q = hn::MulAdd(q, t, set(0.110361190866f));
  q = hn::MulAdd(q, t, set(0.119557241345f));
  q = hn::MulAdd(q, t, set(0.119687406678f));
  const VF lower = hn::Mul(density, hn::Mul(q, t));
  return hn::IfThenElse(hn::Lt(x, zero()), lower, hn::Sub(one, lower));
}

HWY_INLINE VF bell(VF x) {
  return hn::Exp(Floats(), hn::Mul(hn::Mul(x, x), set(-0.5f)));
}

struct Gelu {
  static HWY_INLINE VF value(VF x) { return hn::Mul(x, normal_distribution(x, bell(x))); }
  static HWY_INLINE VF derivative(VF x) {
    const VF density = bell(x);
    return slope(x, density, normal_distribution(x, density));
  }
  // The derivative from bell(x) and Phi(x); the constant is 1 / sqrt(2 pi).
  static HWY_INLINE VF slope(VF x, VF density, VF distribution) {
    return hn::MulAdd(hn::Mul(x, set(0.398942280401f)), density, distribution);
  }
};

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
