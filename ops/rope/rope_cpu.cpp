#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/rope/rope_cpu.cpp"
#include <hwy/foreach_target.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/cpu/chunks.h"
#include "ops/cpu/simd-inl.h"
#include "ops/rope/rope_backends.h"

HWY_BEFORE_NAMESPACE();
namespace strand::cpu::HWY_NAMESPACE {

// Highway's sine and cosine are good up to 39,000 radians.
constexpr int64_t kVectorPositions = 32768;

HWY_INLINE void fill_table(int64_t position, const float* frequencies, int64_t half, bool inverse, float* cosines,
                           float* sines) {
  const auto p = static_cast<float>(position);
  if (position >= kVectorPositions) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(p * frequencies[i]);
      cosines[i] = static_cast<float>(std::cos(angle));
      sines[i] = static_cast<float>(inverse ? -std::sin(angle) : std::sin(angle));
    }
    return;
  }
  for (int64_t i = 0; i < half; i += lanes()) {
    const VF angle = hn::Mul(load(frequencies + i, half - i), set(p));
    store(hn::Cos(Floats(), angle), cosines + i, half - i);
    const VF sine = hn::Sin(Floats(), angle);
    store(inverse ? hn::Neg(sine) : sine, sines + i, half - i);
  }
}

template <class T>
HWY_INLINE void rotate_row(T* x, int64_t heads, int64_t half, const float* cosines, const float* sines) {
  for (int64_t head = 0; head < heads; ++head, x += 2 * half) {
    for (int64_t i = 0; i < half; i += lanes()) {
      const int64_t left = half - i;
      const VF c = load(cosines + i, left);
      const VF s = load(sines + i, left);
      const VF a = load(x + i, left);
      const VF b = load(x + half + i, left);
      store(hn::Sub(hn::Mul(a, c), hn::Mul(b, s)), x + i, left);
      store(hn::MulAdd(b, c, hn::Mul(a, s)), x + half + i, left);
    }
  }
}

// Rows whose position is in [first, first + count); table: 2 * half floats of scratch.
void rope_positions(Matrix x, int64_t sequence, int64_t heads, const float* frequencies, bool inverse, int64_t first,
                    int64_t count, float* table) {
  const int64_t half = x.cols / heads / 2;
  for (int64_t position = first; position < first + count; ++position) {
    fill_table(position, frequencies, half, inverse, table, table + half);
    for (int64_t t = position; t < x.rows; t += sequence) {
      if (x.dtype == DType::kF32) {
        rotate_row(x.f32() + t * x.stride, heads, half, table, table + half);
      } else {
        rotate_row(x.bf16() + t * x.stride, heads, half, table, table + half);
      }
    }
  }
}

}  // namespace strand::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strand::cpu {

HWY_EXPORT(rope_positions);

void rope(const OpContext& context, Matrix x, int64_t sequence, int64_t heads, int64_t head_size, float theta,
          bool inverse) {
  std::vector<float> frequencies(static_cast<size_t>(head_size / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = rope_frequency(theta, static_cast<int64_t>(i), head_size);
  }
  constexpr int64_t kPositions = 16;  // sines are computed once for a position and used in every batch row and head
  const int64_t positions = std::min(sequence, x.rows);
  context.pool->run(chunks(positions, kPositions), [&](int64_t task, int thread) {
    auto* table = static_cast<float*>(context.workspace->scratch(thread, frequencies.size() * 2 * sizeof(float)));
    const int64_t first = task * kPositions;
    HWY_DYNAMIC_DISPATCH(rope_positions)
    (x, sequence, heads, frequencies.data(), inverse, first, std::min(kPositions, positions - first), table);
  });
}

}  // namespace strand::cpu
#endif
