// Which of many intervals of whole numbers holds one: in constant time when they are about equally long. Pure.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace strand {

class IntervalFinder {
 public:
  IntervalFinder() = default;
  // Interval i is [first[i], first[i + 1]), possibly empty; first[0] = 0.
  explicit IntervalFinder(std::vector<uint64_t> first) : first_(std::move(first)) {
    const uint64_t intervals = first_.size() < 2 ? 1 : first_.size() - 1;
    shift_ = std::max(0, static_cast<int>(std::bit_width(size())) - static_cast<int>(std::bit_width(intervals)));
    size_t at = 0;
    for (uint64_t number = 0; !buckets_full(); number += uint64_t{1} << shift_) {
      while (at + 2 < first_.size() && first_[at + 1] <= number) ++at;
      buckets_.push_back(at);
    }
  }

  uint64_t size() const { return first_.empty() ? 0 : first_.back(); }
  const std::vector<uint64_t>& first() const { return first_; }
  // The interval that holds `number` < size().
  size_t find(uint64_t number) const {
    const auto bucket = static_cast<size_t>(number >> shift_);
    // Numbers of this bucket lie in the intervals from its own to the next one's.
    const auto begin = first_.begin() + static_cast<ptrdiff_t>(buckets_[bucket]) + 1;
    const auto end = first_.begin() + static_cast<ptrdiff_t>(buckets_[bucket + 1]) + 1;
    return static_cast<size_t>(std::upper_bound(begin, end, number) - first_.begin()) - 1;
  }

 private:
  // One for every 2^shift_ numbers, and one behind them: at most two more than twice as many as intervals.
  bool buckets_full() const { return buckets_.size() == (size() >> shift_) + 2; }

  std::vector<uint64_t> first_;
  std::vector<size_t> buckets_;  // the interval of the bucket's first number
  int shift_ = 0;
};

}  // namespace strand
