// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11).
// Everything random in Strand is a pure function of (seed, purpose) and a counter, so a recomputed, moved or resumed
// piece of work draws the same numbers.
#pragma once

#include <array>
#include <cstdint>

namespace strand {

// The purpose is part of the key: two purposes never share a stream. Values are stored in dataset fingerprints and
// checkpoints; never renumber.
enum class Purpose : uint32_t {
  kInit = 1,
  kPermutation = 2,
  kReverseComplement = 3,
  kShift = 4,
  kMasking = 5,
  kEmbeddingDropout = 6,
  kAttentionDropout = 7,
  kResidualDropout = 8,
  kNeftune = 9,
  kSampling = 10,
  kTest = 11,
  kHeadDropout = 12,
};

struct PhiloxKey {
  uint32_t low = 0;
  uint32_t high = 0;
};

// Key of (seed, purpose), mixed so that near seeds give unrelated keys.
PhiloxKey philox_key(uint64_t seed, Purpose purpose);

// The four words of one counter: ten rounds, as published (Random123's known-answer vectors are a test).
std::array<uint32_t, 4> philox(PhiloxKey key, std::array<uint32_t, 4> counter);

// Counter of DESIGN section 5: row n of the whole run, layer of the whole model, element within the row.
// Element e is word e % 4 of the block with counter {e / 4, layer, n low, n high}.
inline std::array<uint32_t, 4> row_counter(uint64_t n, uint32_t layer, uint32_t block) {
  return {block, layer, static_cast<uint32_t>(n), static_cast<uint32_t>(n >> 32)};
}
uint32_t random_word(PhiloxKey key, uint64_t n, uint32_t layer, uint32_t element);

// [0, 1) with 24 bits; exact in float.
inline float unit_float(uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1.0p-24f;
}
// (0, 1): never 0, for logarithms.
inline double open_unit_double(uint32_t word) {
  return (static_cast<double>(word) + 0.5) * 0x1.0p-32;
}
// Two standard normal deviates from two words (Box-Muller, double precision).
std::array<double, 2> normal_pair(uint32_t a, uint32_t b);

}  // namespace strand
