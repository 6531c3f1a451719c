#include "dataserver/sampler/permutation.h"

#include <algorithm>
#include <bit>

#include "shared/base/check.h"

namespace strand {

namespace {
constexpr int kRounds = 8;
// With fewer bits a Feistel network reaches too few of the permutations; a tiny n walks a little longer instead.
constexpr int kMinimumBits = 6;
}  // namespace

KeyedPermutation::KeyedPermutation(uint64_t seed, uint64_t pass, uint64_t n)
    : key_(philox_key(seed, Purpose::kPermutation)), pass_(pass), n_(n) {
  STRAND_CHECK(n >= 1 && n <= (uint64_t{1} << 62), "n = ", n);
  const int bits = std::max<int>(kMinimumBits, std::bit_width(n - 1));
  low_bits_ = (bits + 1) / 2;
  low_mask_ = (uint64_t{1} << low_bits_) - 1;
  high_mask_ = (uint64_t{1} << (bits - low_bits_)) - 1;
}

uint64_t KeyedPermutation::encrypt(uint64_t value) const {
  // Both halves have at most 31 bits, so one counter word holds either.
  uint64_t low = value & low_mask_;
  uint64_t high = value >> low_bits_;
  for (uint32_t round = 0; round < kRounds; round += 2) {
    high ^= philox(key_, row_counter(pass_, round, static_cast<uint32_t>(low)))[0] & high_mask_;
    low ^= philox(key_, row_counter(pass_, round + 1, static_cast<uint32_t>(high)))[0] & low_mask_;
  }
  return (high << low_bits_) | low;
}

uint64_t KeyedPermutation::operator()(uint64_t i) const {
  STRAND_CHECK(i < n_, "position ", i, " of ", n_);
  do {
    i = encrypt(i);
  } while (i >= n_);
  return i;
}

}  // namespace strand
