#include "dataserver/sampler/permutation.h"

#include <algorithm>
#include <bit>

#include "shared/base/check.h"

namespace strand {

namespace {
constexpr int kRounds = 8;
// With fewer bits a Feistel network reaches too few of the permutations; a tiny n walks a little longer instead.
constexpr int kMinimumBits = 6;
constexpr size_t kAtOnce = 8;
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

// At most kAtOnce.
void KeyedPermutation::encrypt_all(std::span<uint64_t> values) const {
  uint64_t low[kAtOnce], high[kAtOnce];
  const size_t count = values.size();
  for (size_t i = 0; i < count; ++i) {
    low[i] = values[i] & low_mask_;
    high[i] = values[i] >> low_bits_;
  }
  for (uint32_t round = 0; round < kRounds; round += 2) {
    for (size_t i = 0; i < count; ++i) {
      high[i] ^= philox(key_, row_counter(pass_, round, static_cast<uint32_t>(low[i])))[0] & high_mask_;
    }
    for (size_t i = 0; i < count; ++i) {
      low[i] ^= philox(key_, row_counter(pass_, round + 1, static_cast<uint32_t>(high[i])))[0] & low_mask_;
    }
  }
  for (size_t i = 0; i < count; ++i) values[i] = (high[i] << low_bits_) | low[i];
}

// Those that have walked out of [0, n) go on beside the ones that come next.
void KeyedPermutation::map(std::span<uint64_t> positions) const {
  uint64_t values[kAtOnce];
  size_t places[kAtOnce];
  size_t count = 0, next = 0;
  while (true) {
    for (; count < kAtOnce && next < positions.size(); ++count, ++next) {
      STRAND_CHECK(positions[next] < n_, "position ", positions[next], " of ", n_);
      values[count] = positions[next];
      places[count] = next;
    }
    if (count == 0) return;
    encrypt_all(std::span(values, count));
    size_t left = 0;
    for (size_t i = 0; i < count; ++i) {
      if (values[i] < n_) {
        positions[places[i]] = values[i];
      } else {
        values[left] = values[i];
        places[left++] = places[i];
      }
    }
    count = left;
  }
}

uint64_t KeyedPermutation::operator()(uint64_t i) const {
  STRAND_CHECK(i < n_, "position ", i, " of ", n_);
  do {
    i = encrypt(i);
  } while (i >= n_);
  return i;
}

}  // namespace strand
