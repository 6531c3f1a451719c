#include "coordinator/straggler.h"

#include <algorithm>
#include <map>

namespace strand {
namespace {

double per_lane(const WorkTime& time) {
  return static_cast<double>(time.nanoseconds) / static_cast<double>(time.lanes);
}

// Of one stage.
void find_among(std::vector<WorkTime> known, std::vector<Straggler>* slow) {
  if (known.size() < 2) return;
  std::ranges::sort(known, {}, per_lane);
  // Without the one at `left_out`, the k-th of the rest; the lower middle of an even number.
  const auto median_without = [&](size_t left_out) {
    const size_t middle = (known.size() - 2) / 2;
    return per_lane(known[middle < left_out ? middle : middle + 1]);
  };
  for (size_t i = known.size(); i-- > 0;) {
    const double others = median_without(i);
    if (per_lane(known[i]) <= kStragglerRatio * others) break;
    const auto as_many = static_cast<int64_t>(others * static_cast<double>(known[i].lanes));
    slow->push_back({known[i].worker, known[i].nanoseconds, as_many});
  }
}

}  // namespace

std::vector<Straggler> find_stragglers(const std::vector<WorkTime>& times) {
  std::map<int32_t, std::vector<WorkTime>> stages;
  for (const WorkTime& time : times) {
    if (time.nanoseconds > 0) stages[time.stage].push_back(time);
  }
  std::vector<Straggler> slow;
  for (auto& [stage, known] : stages) find_among(std::move(known), &slow);
  std::ranges::stable_sort(slow, [](const Straggler& a, const Straggler& b) {
    return static_cast<double>(a.nanoseconds) * static_cast<double>(b.others) >
           static_cast<double>(b.nanoseconds) * static_cast<double>(a.others);
  });
  return slow;
}

}  // namespace strand
