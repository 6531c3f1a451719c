// From a pair of token ids to a number: open addressing, because merging looks pairs up for every base.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace strand {

class PairMap {
 public:
  static constexpr uint32_t kAbsent = ~0u;

  // kAbsent when the pair was never put in.
  uint32_t find(int32_t left, int32_t right) const {
    const uint64_t key = make_key(left, right);
    for (size_t slot = hash(key);; slot = (slot + 1) & mask_) {
      if (slots_[slot].value == kAbsent || slots_[slot].key == key) return slots_[slot].value;
    }
  }

  // The pair's number, which is `value` when the pair is new.
  uint32_t find_or_insert(int32_t left, int32_t right, uint32_t value) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    const uint64_t key = make_key(left, right);
    size_t slot = hash(key);
    while (slots_[slot].value != kAbsent && slots_[slot].key != key) slot = (slot + 1) & mask_;
    if (slots_[slot].value == kAbsent) {
      slots_[slot] = {key, value};
      ++size_;
    }
    return slots_[slot].value;
  }

 private:
  struct Slot {
    uint64_t key = 0;
    uint32_t value = kAbsent;
  };

  static uint64_t make_key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  // Multiplicative hashing by the golden ratio; the high bits are the good ones.
  size_t hash(uint64_t key) const { return ((key * 0x9e3779b97f4a7c15ull) >> 32) & mask_; }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    mask_ = slots_.size() - 1;
    for (const Slot& entry : old) {
      if (entry.value == kAbsent) continue;
      size_t slot = hash(entry.key);
      while (slots_[slot].value != kAbsent) slot = (slot + 1) & mask_;
      slots_[slot] = entry;
    }
  }

  std::vector<Slot> slots_ = std::vector<Slot>(16);
  size_t mask_ = 15;
  size_t size_ = 0;
};

}  // namespace strand
