#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cast/cast_cpu.cpp"
#include <hwy/foreach_target.h>

#include "ops/cast/cast_backends.h"
#include "ops/cpu/chunks.h"
#include "ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

void round_block(const float* from, int64_t n, BFloat16* to) {
  for (int64_t i = 0; i < n; i += lanes()) store(load(from + i, n - i), to + i, n - i);
}

void widen_block(const BFloat16* from, int64_t n, float* to) {
  for (int64_t i = 0; i < n; i += lanes()) store(load(from + i, n - i), to + i, n - i);
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {

HWY_EXPORT(round_block);
HWY_EXPORT(widen_block);

void cast(const OpContext& context, const float* from, int64_t n, BFloat16* to) {
  for_chunks(context, n, kTaskElements, [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(round_block)(from + first, count, to + first);
  });
}

void cast(const OpContext& context, const BFloat16* from, int64_t n, float* to) {
  for_chunks(context, n, kTaskElements, [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(widen_block)(from + first, count, to + first);
  });
}

}  // namespace strand::cpu
#endif
