#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/adamw/adamw_cpu.cpp"
#include <hwy/foreach_target.h>

#include "ops/adamw/adamw_backends.h"
#include "ops/adamw/adamw_factors.h"
#include "ops/cpu/chunks.h"
#include "ops/cpu/simd-inl.h"
#include "ops/reduce/reduce.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

// The operations and their order are those of torch.optim.AdamW's single-tensor loop in fp32.
void adamw_block(const AdamWFactors& f, int64_t n, float* parameters, float* first_moment, float* second_moment,
                 const float* gradient, BFloat16* rounded) {
  for (int64_t i = 0; i < n; i += lanes()) {
    const int64_t left = n - i;
    const VF g = hn::Mul(load(gradient + i, left), set(f.gradient_scale));
    const VF p = hn::Mul(load(parameters + i, left), set(f.decay));
    VF m = load(first_moment + i, left);
    VF v = load(second_moment + i, left);
    m = hn::MulAdd(set(f.one_minus_beta1), hn::Sub(g, m), m);
    v = hn::MulAdd(hn::Mul(set(f.one_minus_beta2), g), g, hn::Mul(v, set(f.beta2)));
    const VF denominator = hn::Add(hn::Div(hn::Sqrt(v), set(f.root_correction2)), set(f.epsilon));
    const VF updated = hn::Add(p, hn::Div(hn::Mul(set(f.negative_step), m), denominator));
    store(m, first_moment + i, left);
    store(v, second_moment + i, left);
    store(updated, parameters + i, left);
    if (rounded != nullptr) store(updated, rounded + i, left);
  }
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {

HWY_EXPORT(adamw_block);

void adamw(const OpContext& context, const AdamWArgs& args, int64_t n, float* parameters, float* first_moment,
           float* second_moment, const float* gradient, BFloat16* rounded) {
  const AdamWFactors factors(args);
  for_chunks(context, n, kBlockElements, [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(adamw_block)
    (factors, count, parameters + first, first_moment + first, second_moment + first, gradient + first,
     rounded != nullptr ? rounded + first : nullptr);
  });
}

}  // namespace strand::cpu
#endif
