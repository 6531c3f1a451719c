#include "shared/base/rng.h"

#include <cmath>
#include <numbers>

namespace strand {

static uint64_t mix(uint64_t z) {  // splitmix64's finaliser (Steele et al., OOPSLA'14)
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

PhiloxKey philox_key(uint64_t seed, Purpose purpose) {
  const uint64_t z = mix(mix(seed + 0x9e3779b97f4a7c15ull) + static_cast<uint64_t>(purpose) * 0x9e3779b97f4a7c15ull);
  return {static_cast<uint32_t>(z), static_cast<uint32_t>(z >> 32)};
}

std::array<uint32_t, 4> philox(PhiloxKey key, std::array<uint32_t, 4> c) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = static_cast<uint64_t>(0xD2511F53u) * c[0];
    const uint64_t product1 = static_cast<uint64_t>(0xCD9E8D57u) * c[2];
    c = {static_cast<uint32_t>(product1 >> 32) ^ c[1] ^ key.low, static_cast<uint32_t>(product1),
         static_cast<uint32_t>(product0 >> 32) ^ c[3] ^ key.high, static_cast<uint32_t>(product0)};
    key.low += 0x9E3779B9u;
    key.high += 0xBB67AE85u;
  }
  return c;
}

uint32_t random_word(PhiloxKey key, uint64_t n, uint32_t layer, uint32_t element) {
  return philox(key, row_counter(n, layer, element / 4))[element % 4];
}

std::array<double, 2> normal_pair(uint32_t a, uint32_t b) {
  const double radius = std::sqrt(-2.0 * std::log(open_unit_double(a)));
  const double angle = 2.0 * std::numbers::pi * open_unit_double(b);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

}  // namespace strand
