// Vectors of floats for *_cpu.cpp files: loads and stores of fp32 and bf16 that stop at the end of a row, our own
// rounding to bf16 (Highway 1.0.3 truncates), and the functions the operators share. Compiled once per instruction set:
// include it after hwy/foreach_target.h.
#if defined(STRAND_OPS_CPU_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STRAND_OPS_CPU_SIMD_INL_H_
#undef STRAND_OPS_CPU_SIMD_INL_H_
#else
#define STRAND_OPS_CPU_SIMD_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <cstring>

#include "ops/core/matrix.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Words = hn::RebindToUnsigned<Floats>;
using Halves = hn::Rebind<uint16_t, Floats>;
using VF = hn::Vec<Floats>;

HWY_INLINE int64_t lanes() {
  return static_cast<int64_t>(hn::Lanes(Floats()));
}
HWY_INLINE VF set(float x) {
  return hn::Set(Floats(), x);
}
HWY_INLINE VF zero() {
  return hn::Zero(Floats());
}

// The upper halves of v's bits, rounded to nearest, ties to even; NaN stays NaN. Bit for bit to_bf16 of dtype.h.
HWY_INLINE hn::Vec<Halves> round_to_bf16(VF v) {
  const Words d;
  const auto bits = hn::BitCast(d, v);
  const auto upper = hn::ShiftRight<16>(bits);
  const auto odd = hn::And(upper, hn::Set(d, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(d, 0x7fff)), odd));
  const auto quiet = hn::Or(upper, hn::Set(d, 0x40));
  const auto is_nan = hn::RebindMask(d, hn::IsNaN(v));
  return hn::TruncateTo(Halves(), hn::IfThenElse(is_nan, quiet, rounded));
}
HWY_INLINE VF widen(hn::Vec<Halves> v) {
  return hn::BitCast(Floats(), hn::ShiftLeft<16>(hn::PromoteTo(Words(), v)));
}

HWY_INLINE VF load(const float* p) {
  return hn::LoadU(Floats(), p);
}
HWY_INLINE VF load(const BFloat16* p) {
  return widen(hn::LoadU(Halves(), reinterpret_cast<const uint16_t*>(p)));
}
HWY_INLINE void store(VF v, float* p) {
  hn::StoreU(v, Floats(), p);
}
HWY_INLINE void store(VF v, BFloat16* p) {
  hn::StoreU(round_to_bf16(v), Halves(), reinterpret_cast<uint16_t*>(p));
}

// The last, incomplete vector of a row. Missing lanes read as zero. Never touches memory outside [p, p + count):
// AVX-512 has masks for that, elsewhere the elements go through a buffer.
template <class T>
HWY_INLINE VF load_part(const T* p, int64_t count) {
#if HWY_TARGET == HWY_AVX3
  const auto n = static_cast<size_t>(count);
  if constexpr (sizeof(T) == 4) {
    return hn::MaskedLoad(hn::FirstN(Floats(), n), Floats(), p);
  } else {
    return widen(hn::MaskedLoad(hn::FirstN(Halves(), n), Halves(), reinterpret_cast<const uint16_t*>(p)));
  }
#else
  T buffer[hn::MaxLanes(Floats())] = {};
  for (int64_t i = 0; i < count; ++i) buffer[i] = p[i];
  return load(buffer);
#endif
}
template <class T>
HWY_INLINE void store_part(VF v, T* p, int64_t count) {
#if HWY_TARGET == HWY_AVX3
  const auto n = static_cast<size_t>(count);
  if constexpr (sizeof(T) == 4) {
    hn::BlendedStore(v, hn::FirstN(Floats(), n), Floats(), p);
  } else {
    hn::BlendedStore(round_to_bf16(v), hn::FirstN(Halves(), n), Halves(), reinterpret_cast<uint16_t*>(p));
  }
#else
  T buffer[hn::MaxLanes(Floats())];
  store(v, buffer);
  for (int64_t i = 0; i < count; ++i) p[i] = buffer[i];
#endif
}

// The vector at p when `left` elements of the row are left: for (i = 0; i < n; i += lanes()) load(p + i, n - i).
template <class T>
HWY_INLINE VF load(const T* p, int64_t left) {
  return HWY_LIKELY(left >= lanes()) ? load(p) : load_part(p, left);
}
template <class T>
HWY_INLINE void store(VF v, T* p, int64_t left) {
  if (HWY_LIKELY(left >= lanes())) {
    store(v, p);
  } else {
    store_part(v, p, left);
  }
}
// v with the lanes after the end of the row replaced.
HWY_INLINE VF within(VF v, int64_t left, VF otherwise) {
  if (HWY_LIKELY(left >= lanes())) return v;
  return hn::IfThenElse(hn::FirstN(Floats(), static_cast<size_t>(left)), v, otherwise);
}

HWY_INLINE float sum_lanes(VF v) {
  return hn::GetLane(hn::SumOfLanes(Floats(), v));
}

// 1 / (1 + exp(-x)); the bound keeps exp finite (the result below it is less than 1e-38).
HWY_INLINE VF sigmoid(VF x) {
  const VF e = hn::Exp(Floats(), hn::Min(hn::Neg(x), set(88.0f)));
  return hn::Div(set(1.0f), hn::Add(set(1.0f), e));
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
