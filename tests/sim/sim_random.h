// Random decisions of a simulation: Philox keyed by the seed, counted. The same seed makes the same run anywhere.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "shared/base/clock.h"
#include "shared/base/rng.h"

namespace strand::sim {

class SimRandom {
 public:
  explicit SimRandom(uint64_t seed) : key_(philox_key(seed, Purpose::kTest)) {}

  uint64_t word() {
    const uint64_t high = random_word(key_, count_, 0, 0), low = random_word(key_, count_, 0, 1);
    ++count_;
    return high << 32 | low;
  }
  // [0, n)
  int64_t pick(int64_t n) { return static_cast<int64_t>(word() % static_cast<uint64_t>(n)); }
  bool chance(double probability) { return static_cast<double>(word() >> 11) * 0x1.0p-53 < probability; }
  Duration between(Duration low, Duration high) { return low + Duration(pick(high.count() - low.count() + 1)); }
  template <class T>
  T one_of(std::initializer_list<T> choices) {
    return choices.begin()[pick(static_cast<int64_t>(choices.size()))];
  }

 private:
  PhiloxKey key_;
  uint64_t count_ = 0;
};

}  // namespace strand::sim
