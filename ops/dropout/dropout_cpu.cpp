#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/dropout/dropout_cpu.cpp"
#include <hwy/foreach_target.h>

#include <algorithm>

#include "ops/cpu/chunks.h"
#include "ops/cpu/simd-inl.h"
#include "ops/dropout/dropout_backends.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

constexpr int64_t kTile = 512;
using Wide = hn::Repartition<uint64_t, Floats>;
using VW = hn::Vec<Wide>;

// Product of the low halves of each 64-bit lane; the high halves of the inputs are ignored.
HWY_INLINE VW multiply(VW a, uint32_t b) {
  const hn::Repartition<uint32_t, Wide> d32;
  return hn::MulEven(hn::BitCast(d32, a), hn::Set(d32, b));
}

// factors[i] = 1 / (1 - p) where kept, else 0, for elements 4 * block + i, i < count rounded up to whole vectors. One
// counter of Philox (shared/base/rng.cpp) per 64-bit lane, its words in the low halves.
void dropout_factors(PhiloxKey key, uint64_t n, uint32_t layer, uint32_t block, int64_t count, float probability,
                     float scale, float* factors) {
  const Wide d;
  const hn::Repartition<uint32_t, Wide> d32;
  const hn::RebindToSigned<decltype(d32)> di32;
  const auto counters = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t done = 0; done < count; done += 4 * counters, factors += 4 * counters) {
    VW c0 = hn::Add(hn::Iota(d, 0), hn::Set(d, block + static_cast<uint64_t>(done / 4)));
    VW c1 = hn::Set(d, layer), c2 = hn::Set(d, n & 0xffffffffu), c3 = hn::Set(d, n >> 32);
    PhiloxKey k = key;
    for (int round = 0; round < 10; ++round) {
      const VW p0 = multiply(c0, 0xD2511F53u);
      const VW p1 = multiply(c2, 0xCD9E8D57u);
      c0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p1), c1), hn::Set(d, k.low));
      c2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p0), c3), hn::Set(d, k.high));
      c1 = p1;
      c3 = p0;
      k.low += 0x9E3779B9u;
      k.high += 0xBB67AE85u;
    }
    const VW low = hn::Set(d, 0xffffffffu);
    const auto factor = [&](VW even, VW odd) HWY_ATTR {
      const auto words = hn::BitCast(d32, hn::Or(hn::And(even, low), hn::ShiftLeft<32>(odd)));
      const VF unit = hn::Mul(hn::ConvertTo(Floats(), hn::BitCast(di32, hn::ShiftRight<8>(words))), set(0x1.0p-24f));
      return hn::BitCast(d, hn::IfThenElseZero(hn::Ge(unit, set(probability)), set(scale)));
    };
    hn::StoreInterleaved2(factor(c0, c1), factor(c2, c3), d, reinterpret_cast<uint64_t*>(factors));
  }
}

template <class T>
void drop_row(const DropoutArgs& args, uint64_t n, uint64_t first_element, T* x, int64_t cols) {
  HWY_ALIGN float factors[kTile + 4 + 64];  // an offset within the first counter, and whole vectors
  const auto scale = static_cast<float>(1 / (1 - static_cast<double>(args.probability)));
  for (int64_t c = 0; c < cols; c += kTile) {
    const int64_t count = std::min(kTile, cols - c);
    const uint64_t element = first_element + static_cast<uint64_t>(c);
    const auto offset = static_cast<int64_t>(element % 4);
    dropout_factors(args.key, n, args.layer, static_cast<uint32_t>(element / 4), offset + count, args.probability,
                    scale, factors);
    for (int64_t i = 0; i < count; i += lanes()) {
      const int64_t left = count - i;
      store(hn::Mul(load(x + c + i, left), load(factors + offset + i, left)), x + c + i, left);
    }
  }
}

void dropout_rows(const DropoutArgs& args, Matrix x, int64_t first, int64_t count) {
  for (int64_t t = first; t < first + count; ++t) {
    const auto n = static_cast<uint64_t>(args.row_numbers[t / args.sequence]);
    const auto element = static_cast<uint64_t>(t % args.sequence * x.cols);
    if (x.dtype == DType::kF32) {
      drop_row(args, n, element, x.f32() + t * x.stride, x.cols);
    } else {
      drop_row(args, n, element, x.bf16() + t * x.stride, x.cols);
    }
  }
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {

HWY_EXPORT(dropout_rows);

void dropout(const OpContext& context, const DropoutArgs& args, Matrix x) {
  for_chunks(context, x.rows, rows_per_task(x.cols), [&](int64_t first, int64_t count, int64_t) {
    HWY_DYNAMIC_DISPATCH(dropout_rows)(args, x, first, count);
  });
}

}  // namespace strand::cpu
#endif
