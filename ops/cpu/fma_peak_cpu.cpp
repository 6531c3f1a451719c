#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/fma_peak_cpu.cpp"
#include <hwy/foreach_target.h>

#include "ops/cpu/fma_peak.h"
#include "ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

// Enough chains to hide a latency of four cycles at two per cycle, few enough for 16 registers.
constexpr int kChains = 12;

double fma_loop(int64_t rounds) {
  const VF factor = set(0.9999f);
  const VF term = set(1e-4f);
  VF sums[kChains];
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sums[i] = set(static_cast<float>(i));
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = hn::MulAdd(sums[i], factor, term);
  }
  VF all = zero();
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) all = hn::Add(all, sums[i]);
  volatile float kept = sum_lanes(all);  // keeps the loop from being removed
  static_cast<void>(kept);
  return 2.0 * kChains * static_cast<double>(lanes()) * static_cast<double>(rounds);
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand {
namespace cpu {
HWY_EXPORT(fma_loop);
double chosen_fma_loop(int64_t rounds) {
  return HWY_DYNAMIC_DISPATCH(fma_loop)(rounds);
}
}  // namespace cpu

double run_fma_loop(int64_t rounds) {
  return cpu::chosen_fma_loop(rounds);
}

}  // namespace strand
#endif
