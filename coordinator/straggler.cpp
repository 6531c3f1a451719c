#include "coordinator/straggler.h"

#include <algorithm>

namespace strand {

std::vector<Straggler> find_stragglers(const std::vector<WorkTime>& times) {
  std::vector<WorkTime> known;
  for (const WorkTime& time : times) {
    if (time.nanoseconds > 0) known.push_back(time);
  }
  std::vector<Straggler> slow;
  if (known.size() < 2) return slow;
  std::ranges::sort(known, {}, &WorkTime::nanoseconds);
  // Without the one at `left_out`, the k-th of the rest; the lower middle of an even number.
  const auto median_without = [&](size_t left_out) {
    const size_t middle = (known.size() - 2) / 2;
    return known[middle < left_out ? middle : middle + 1].nanoseconds;
  };
  for (size_t i = known.size(); i-- > 0;) {
    const int64_t others = median_without(i);
    if (static_cast<double>(known[i].nanoseconds) <= kStragglerRatio * static_cast<double>(others)) break;
    slow.push_back({known[i].worker, known[i].nanoseconds, others});
  }
  return slow;
}

}  // namespace strand
